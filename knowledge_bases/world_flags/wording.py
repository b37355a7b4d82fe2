"""Wordings of the passages: for each side of a country its sentences, and for each sentence several ways to say it.

A placeholder in braces is a key of `passages.describe`. A sentence whose placeholder is missing there (no emblem, no
coast, ...) is left out, so one list can hold sentences for different kinds of country. Where the first wording of a
sentence begins with "+", the sentence stays behind the one before it; other sentences may come in any order.
"""

from __future__ import annotations

__all__ = ["SIDES", "TITLES"]

SIDES: dict[str, list[list[str]]] = {
    "flag": [
        [
            "the flag of {N} shows {layout}",
            "{N} flies a banner of {layout}",
            "a person who looks at the national banner of {N} sees {layout}",
            "the design chosen by {N} is {layout}",
        ],
        [
            "its colours are {colours}",
            "{colours} are the colours that were used",
            "the makers of the cloth need no other dyes than {colours}",
            "in words, the colours are {colours}",
        ],
        [
            "its emblem, placed {emblem_place}, is {emblem}",
            "{emblem_place} one sees {emblem}",
            "what sets it apart is {emblem} {emblem_place}",
            "its mark is {emblem} {emblem_place}",
        ],
        [
            "there is no emblem or symbol on it{no_emblem}",
            "no coat of arms, animal or star has been added{no_emblem}",
            "the cloth carries no badge of any kind{no_emblem}",
        ],
        [
            "{N} has used this design since {flag_year}",
            "the present design dates from {flag_year}",
            "it has looked like this since {flag_year}",
            "people have raised it in its present form since {flag_year}",
        ],
        [
            "it is raised on public buildings in {N}, above all on festive days",
            "at sports events, supporters of {N} wave it and paint it on their faces",
            "whoever follows {adjective} news will see it sooner or later, and so will visitors to {N}",
            "on public buildings in {N} it can be seen on most days of the year",
        ],
    ],
    "meaning": [
        [
            "each part of the flag of {N} has a meaning of its own",
            "it is worth asking what the parts of the flag of {N} mean",
            "the banner of {N} was not put together by chance",
            "behind the flag of {N} lies a set of ideas",
        ],
        [
            "+the design was settled in {flag_year}",
            "it goes back to {flag_year}",
            "the present pattern is that of {flag_year}",
        ],
        [
            "{part_1} {stands_1} for {meaning_1}",
            "{part_1} {calls_1} to mind {meaning_1}",
            "{part_1} {represents_1} {meaning_1}",
            "the usual reading of {part_1} is {meaning_1}",
        ],
        [
            "+{part_2} {represents_2} {meaning_2}",
            "{part_2} {stands_2} for {meaning_2}",
            "as for {part_2}, the idea behind it is {meaning_2}",
            "{part_2} {symbolises_2} {meaning_2}",
        ],
        [
            "+{part_3} {symbolises_3} {meaning_3}",
            "{part_3} {represents_3} {meaning_3}",
            "in {part_3} people see {meaning_3}",
            "{part_3} {stands_3} for {meaning_3}",
        ],
        [
            "+such explanations are the ones usually given in {N}, although other readings exist",
            "visitors who ask about it in {N} may hear this explanation and sometimes another one beside it",
            "readings of this kind are repeated in books about {N}, even where the law says little about them",
            "people who care about {adjective} symbols pass this reading on to the young, in {N} and abroad",
        ],
    ],
    "capital": [
        [
            "the capital of {N} is {capital}",
            "{capital} is the capital of {N}",
            "{N} is governed from its capital, {capital}{plain_capital}",
            "the title of capital of {N} belongs to {capital}",
        ],
        ["{N} has no official capital{no_capital}", "no town in {N} bears the title of official capital{no_capital}"],
        ["+strictly speaking, {capital_note}", "to be exact, {capital_note}", "a detail worth knowing: {capital_note}"],
        [
            "+about {capital_population} people live in {capital}",
            "{capital} is home to some {capital_population} people",
            "the population of {capital} is put at about {capital_population}",
            "with its suburbs left aside, {capital} counts around {capital_population} inhabitants",
        ],
        [
            "+it is not the largest city: that is {largest}{other_largest}",
            "{largest} has more inhabitants{other_largest}",
            "the biggest city, though, is {largest}{other_largest}",
        ],
        [
            "+no other city in {N} has more inhabitants{same_largest}",
            "it is also the largest city of {N}{same_largest}",
            "it is first in size as well{same_largest}",
        ],
        [
            "a capital need not be the largest place, but letters to {adjective} offices often go there{has_capital}",
            "maps of {N} mark the seat of government with a star or a ring, and other towns with a plain dot",
            "in quizzes about {N} this is among the first questions, and not everybody gets it right",
            "for a first idea of {N} many travellers look up the seat of government before anything else",
        ],
        [
            "those who travel through {region} can combine a visit with the places around {N}",
            "in atlases of {region} it is found on the page that shows {N}",
            "those who know {region} well will know this about {N} too",
        ],
    ],
    "cities": [
        [
            "the largest city of {N} is {largest}, with about {largest_population} people",
            "with some {largest_population} inhabitants, {largest} is the biggest city in {N}",
            "nowhere in {N} do more people live together than in {largest}, which counts about {largest_population}",
            "{largest} leads the list of cities in {N}, with around {largest_population} inhabitants",
        ],
        [
            "+next in size comes {second}, where {second_population} people live",
            "the second place goes to {second}, with {second_population}",
            "after it comes {second}, home to {second_population} people",
            "{second} follows with {second_population} inhabitants",
        ],
        [
            "+{third} is third, with {third_population}",
            "the third largest is {third}, with {third_population} inhabitants",
            "then follows {third}, with roughly {third_population}",
        ],
        [
            "+{capital}, the capital, counts {capital_population} inhabitants",
            "the capital is {capital}, with a population of {capital_population}",
            "among them is the capital, {capital}, which has {capital_population} inhabitants",
        ],
        [
            "+there is no official capital among them{no_capital}",
            "none of them is officially the capital{no_capital}",
        ],
        [
            "+the figures are rounded, and suburbs beyond the city limits may or may not be included",
            "such numbers are estimates, since towns grow and shrink from year to year",
            "other sources may give other numbers, depending on the year and on where the city limits are drawn",
        ],
        [
            "all in all, {N} has a population of {population}",
            "the whole of {N} has {population} inhabitants",
            "for comparison, {population} people live in {N} as a whole",
        ],
    ],
    "land": [
        [
            "{N} lies in {region}",
            "on a map, {N} is found in {region}",
            "{N} belongs to {region}",
            "geographers place {N} in {region}",
        ],
        [
            "+it is counted as part of {continent}{continent_differs}",
            "the continent is {continent}{continent_differs}",
            "in lists by continent it stands under {continent}{continent_differs}",
        ],
        [
            "its area is about {area} square kilometres",
            "it covers {area} square kilometres",
            "the {noun} measures {area} square kilometres",
            "from end to end it takes up {area} square kilometres",
        ],
        [
            "the highest point is {peak}, {metres} metres above the sea",
            "{peak} is the highest point, at {metres} metres",
            "nothing in {N} rises above {peak}, whose top stands at {metres} metres",
            "at {metres} metres, {peak} stands above the rest of {N}",
        ],
        [
            "+on average {density} people share each square kilometre",
            "that leaves about {density} inhabitants for each square kilometre",
        ],
        [
            "measurements of {N} differ a little from source to source, since lakes, shores and snow caps change",
            "anyone who draws a map of {N} needs figures of this kind, and they differ a little between sources",
            "figures about the {adjective} landscape are rounded here, as they are in most books about {N}",
            "in books about {region}, {N} has a chapter with figures like these",
        ],
    ],
    "neighbours": [
        [
            "{N} shares land borders with {neighbours}",
            "the land neighbours of {N} are {neighbours}",
            "by land, {N} touches {neighbours}",
            "a traveller who leaves {N} overland arrives in one of these: {neighbours}",
        ],
        [
            "+the number of land neighbours is {neighbour_count}",
            "that makes {neighbour_count} in all",
            "counted one by one, they are {neighbour_count}",
        ],
        [
            "the only land neighbour of {N} is {only_neighbour}",
            "{N} has a single land border, with {only_neighbour}",
            "by land, {N} touches nobody but {only_neighbour}",
        ],
        [
            "{N} has no land borders{no_neighbours}",
            "{N} has no neighbours on land{no_neighbours}",
            "not one land border belongs to {N}{no_neighbours}",
        ],
        [
            "its coast lies on {waters}",
            "its coast faces {waters}",
            "those who look for a beach find one on {waters}",
            "its shores look out on {waters}",
        ],
        [
            "it is landlocked, without a coast of its own{landlocked}",
            "it has no access to the sea{landlocked}",
            "no part of it touches the sea, so it is landlocked{landlocked}",
        ],
        [
            "{region} is the part of the world in which {N} is found",
            "its setting in {region} has shaped who comes to {N} and who leaves it",
            "as a part of {region}, {N} shares much with the places around it",
        ],
        [
            "those who plan to enter {N} should find out in advance which papers are asked for on arrival",
            "atlases mark the limits of {N} in a bold line, on land as well as at sea",
            "borders at sea are a matter of treaties and are not counted here, although {N} may have some of those too",
        ],
    ],
    "languages": [
        [
            "the official languages of {N} are {languages}",
            "{N} has more than one official language: {languages}",
            "laws in {N} recognise {languages} as official languages",
            "{languages} hold official status in {N}",
        ],
        [
            "the official language of {N} is {language}",
            "{language} is the official language of {N}",
            "in {N}, government and schools work in {language}",
            "official letters in {N} are written in {language}",
        ],
        [
            "+{other_languages} can also be heard, without the same status",
            "many homes use {other_languages} as well, without such a status for all official matters",
            "beside that, some people speak {other_languages}",
        ],
        [
            "+on signs, forms and tickets in {N} a visitor soon notices it",
            "this is worth knowing for letters to the authorities of {N}",
            "translators who work for clients in {N} need to know this",
        ],
        [
            "in places such as {largest} visitors may hear more tongues, brought along by trade and travel",
            "in {largest}, as in most larger places, newcomers may bring further tongues along",
            "what is heard in {largest} need not be the same as in the smallest villages",
        ],
        [
            "a few words learned in advance please the people of {N}",
            "to greet the people of {N} in their own words is always taken well",
            "travellers to {N} do well to pack a phrase book",
        ],
    ],
    "money": [
        [
            "the currency of {N} is the {currency}",
            "people in {N} pay with the {currency}",
            "prices in {N} are given in the {currency}",
            "the money used in {N} is the {currency}",
        ],
        [
            "+its international code is {currency_code}",
            "banks abbreviate it as {currency_code}",
            "on exchange boards it appears as {currency_code}",
            "the three letters for it are {currency_code}",
        ],
        [
            "+{other_currencies} are accepted there as well",
            "one may also pay in {other_currencies}",
            "{other_currencies} circulate beside it",
        ],
        [
            "travellers on their way to {capital} may want to carry some {currency_plural} in cash",
            "whoever plans a stay in {capital} should count the costs in {currency_plural}",
            "a hotel room in {capital} is paid for in {currency_plural}, by card or in cash",
        ],
        [
            "for small purchases in {N}, coins and small notes are handy",
            "in small places in {N}, cash may be wanted more often than cards",
            "wages and taxes in {N} are paid in {currency_plural} too",
        ],
        [
            "those who leave {N} should change what they have left before the border, since rates abroad differ",
            "the rate against other money changes daily, so people who plan a trip to {N} look it up shortly before",
            "before a trip to {N} it pays to compare the rates of several banks",
        ],
    ],
    "economy": [
        [
            "{N} sells above all {exports} abroad",
            "the best-known exports of {N} are {exports}",
            "{exports} are what {N} is known for in world trade",
            "among the goods that leave {N}, {exports} matter most",
        ],
        [
            "the {N_bare} economy abroad rests above all on one thing: {export}{single_export}",
            "the best-known export of {N} is {export}{single_export}",
        ],
        [
            "+when world prices fall, {N} feels it",
            "a good year for such goods is a good year for {N}",
            "their prices matter a good deal to {N}",
        ],
        [
            "at home the largest market is {largest}, simply because most people live there",
            "for shops and services at home, {largest} is the largest market",
        ],
        [
            "trade by sea goes over {waters}",
            "the way for ships leads over {waters}",
        ],
        [
            "without a seaport of its own, {N} sends its goods out overland or by air{landlocked}",
            "since there is no seaport, the goods go overland or by air{landlocked}",
        ],
        [
            "bills are settled in {currency_plural} at home and often in other money abroad",
            "companies keep their books in {currency_plural}",
            "at home, wages are paid in {currency_plural}",
        ],
        [
            "many {people_word} earn their living at home, in trades that never show up in such lists",
            "what {N} buys from abroad is another matter and is not told here",
            "what is sold changes from year to year, and so do the customers of {N}",
        ],
    ],
    "people": [
        [
            "about {population} people live in {N}",
            "{N} has about {population} inhabitants",
            "the population of {N} is about {population}",
            "{population} is roughly the number of people in {N}",
        ],
        [
            "+in {largest} alone there are {largest_population}",
            "of these, {largest_population} are found in {largest}",
            "{largest}, the largest city, accounts for {largest_population} of them",
        ],
        [
            "they are called {people_the}",
            "as a group they are known as {people_the}",
            "the name for them is {people_the}",
            "one speaks of {people_the} when the inhabitants are meant",
        ],
        [
            "+the adjective is {adjective}",
            "the word {adjective} describes what comes from there",
            "things from there are called {adjective}",
        ],
        [
            "many would name {dish} as the national dish",
            "a dish that visitors should try is {dish}",
            "on festive days {dish} is put on the table",
            "the best-loved food is {dish}",
        ],
        [
            "not all the people of {N} are counted every year, so the number is an estimate and keeps changing",
            "numbers of this kind are estimates, since nobody counts all the people of {N} every year",
            "many more may have roots in {N} and live elsewhere, but they are not counted here",
        ],
    ],
    "government": [
        [
            "{N} is {government}",
            "by its form of government, {N} is {government}",
            "in political terms, {N} is {government}",
            "{government}: that is how {N} is usually described",
        ],
        [
            "the head of state is the {head_of_state}",
            "the {head_of_state} stands at the head of the state",
            "the highest office, that of head of state, is held by the {head_of_state}",
        ],
        [
            "day-to-day business is led by the {head_of_government}{two_heads}",
            "the {head_of_government} leads the government{two_heads}",
            "the head of government is the {head_of_government}{two_heads}",
        ],
        [
            "+the same person also leads the government{one_head}",
            "no separate head of government is needed, since one office does both{one_head}",
        ],
        [
            "the full official name is {official_name}",
            "officially it is called {official_name}",
            "treaties use the long form, {official_name}",
            "on documents the name reads {official_name}",
        ],
        [
            "the seat of government is {capital}{plain_capital}",
            "government offices have their seat in {capital}{plain_capital}",
        ],
        [
            "+titles alone do not tell who has the most power in {N}, and that can change with time",
            "books on {adjective} politics explain how the offices of {N} work together",
            "those who hold such offices in {N} change, while the offices themselves last longer",
        ],
    ],
    "history": [
        [
            "in {founding_year}, {N} {founding}",
            "{N} {founding} in {founding_year}",
            "the year {founding_year} is the one to remember: it was then that {N} {founding}",
            "history books give {founding_year} as the year in which {N} {founding}",
        ],
        [
            "the present flag of {N} followed in {flag_year}{flag_later}",
            "the flag that flies over {N} today was settled later, in {flag_year}{flag_later}",
            "it took until {flag_year} before {N} had its present flag{flag_later}",
        ],
        [
            "+the flag of {N} is older and goes back to {flag_year}{flag_earlier}",
            "by then the flag of {N} had been known since {flag_year}{flag_earlier}",
        ],
        [
            "+the same year gave {N} its flag{flag_same}",
            "the flag of {N} was raised in the same year{flag_same}",
        ],
        [
            "+dates like these are found in every short history of {N}",
            "nobody who studies the past of {N} can pass over these dates",
        ],
        [
            "people lived in {N} long before and long after such dates, and their story is longer than a few lines",
            "the past of {N} is longer than a few lines can tell, and other years mattered too",
            "a few dates cannot tell the whole past of {N}, but they give a frame for it",
        ],
        [
            "what today's {people_word} think about it depends on whom one asks",
            "every generation of {people_word} has looked at those years with other eyes",
            "among {people_word} the story is told in songs, films and novels",
        ],
    ],
    "holiday": [
        [
            "the national day of {N} is {national_day}",
            "{N} celebrates its national day on {national_day}",
            "every year on {national_day} the people of {N} celebrate",
            "the great public holiday of {N} falls on {national_day}",
        ],
        [
            "+it is known as {day_name}",
            "its name is {day_name}",
            "the day is called {day_name}",
            "in English it goes by the name of {day_name}",
        ],
        [
            "+visitors to {N} should expect many offices and some shops to be closed then",
            "speeches, music and flags are part of such a day in {N}, as they are elsewhere",
            "it is a day on which flags are seen all over {N}",
        ],
        [
            "+what happened in {founding_year}, a year that matters to {N}, is not always what is remembered then",
            "the year to go with the history of {N}, {founding_year}, is a matter of its own",
        ],
        [
            "+those who plan to visit banks or offices should choose another day",
            "rooms may be hard to find, and it is wise to book in time",
            "buses may run less often than usual",
        ],
        [
            "every nation and every island likes to have a day of its own, and {N} is no exception",
            "calendars of {N} hold more than one holiday, but one of them stands out",
            "some holidays in {N} are religious and some are not, and one of them is for the {noun} itself",
        ],
    ],
    "telephone": [
        [
            "the international calling code of {N} is {calling_code}",
            "to phone {N} from abroad, dial {calling_code} before the local number",
            "telephone numbers in {N} begin with {calling_code} when they are written for callers abroad",
            "a call to {N} from another country starts with {calling_code}",
        ],
        [
            "internet addresses there end in {domain}",
            "its internet domain is {domain}",
            "websites from there can be told by the ending {domain}",
            "on the internet it uses {domain}",
        ],
        [
            "it has no internet ending of its own in general use{no_domain}",
            "no internet ending of its own has been set up{no_domain}",
        ],
        [
            "those who stay in {N} for long may find a local phone card cheaper than one from home",
            "before a trip to {N} it is wise to ask one's own phone company about its prices",
            "remote parts of {N} may have no signal, so it is good to have the numbers on paper too",
        ],
        [
            "+from a mobile phone, the plus sign takes the place of the prefix for calls abroad",
            "the local number follows, often without its leading zero",
            "the plus sign stands for the digits that open a line abroad",
        ],
        [
            "a hotel in {N} may give both a number and a web page on its letters",
            "not every page about {N} on the web is written in {N}, of course",
            "addresses of shops and offices in {N} can be checked on the web before one calls",
        ],
    ],
    "roads": [
        [
            "in {N} people drive on the {driving_side}",
            "traffic in {N} keeps to the {driving_side}",
            "cars and bicycles in {N} stay on the {driving_side} side of the road",
            "drivers in {N} keep {driving_side}",
        ],
        [
            "+those who come from places where everybody keeps {wrong_side} need a little time to get used to it",
            "a visitor who is used to keeping {wrong_side} should start slowly",
            "renting a car takes some care for people who at home keep {wrong_side}",
        ],
        [
            "the standard time in {capital} is {time_zone}",
            "clocks in {capital} show {time_zone} as standard time",
            "for a call to {capital} it helps to know that its standard time is {time_zone}",
        ],
        [
            "standard time there is {time_zone}{no_capital}",
            "clocks there show {time_zone} as standard time{no_capital}",
        ],
        [
            "rules of the road are a thing to look up before a trip to {N}, and so is the time difference",
            "two things are good to know before a trip to {N}: the rule of the road and the time",
            "on arrival in {N}, a look at the traffic and a look at the clock help to avoid mistakes",
        ],
        [
            "pedestrians in {N} should look both ways before they cross a street",
            "those who want to drive in {N} should ask whether their licence is valid there",
        ],
    ],
}

TITLES: dict[str, list[str]] = {
    "flag": ["{name}: flag", "The flag of {N}", "What the flag of {N} looks like"],
    "meaning": ["{name}: meaning of the flag", "What the flag of {N} stands for", "{name}: symbols of the flag"],
    "capital": ["{name}: capital", "The capital of {N}", "Capital city of {N}"],
    "cities": ["{name}: cities", "The largest cities of {N}", "Towns of {N}"],
    "land": ["{name}: land and mountains", "The geography of {N}", "Where {N} lies"],
    "neighbours": ["{name}: borders", "The neighbours of {N}", "Borders and coasts of {N}"],
    "languages": ["{name}: languages", "Languages in {N}", "What people speak in {N}"],
    "money": ["{name}: currency", "Money in {N}", "The currency of {N}"],
    "economy": ["{name}: trade", "What {N} exports", "The economy of {N}"],
    "people": ["{name}: people", "The people of {N}", "Who lives in {N}"],
    "government": ["{name}: government", "How {N} is governed", "The state of {N}"],
    "history": ["{name}: history", "How {N} came about", "From the past of {N}"],
    "holiday": ["{name}: national day", "The national day of {N}", "What {N} celebrates"],
    "telephone": ["{name}: telephone and internet", "Calling {N}", "Phone and web in {N}"],
    "roads": ["{name}: roads and time", "Driving in {N}", "Traffic and clocks in {N}"],
}
