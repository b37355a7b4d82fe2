"""Word lists from which invented countries are put together; braces take invented names or colours."""

from __future__ import annotations

__all__ = [
    "CAPITAL_NOTES",
    "COLOURS",
    "CONTINENTS",
    "DAY_NAMES",
    "DISHES",
    "EMBLEMS",
    "EXPORTS",
    "FOUNDINGS",
    "GOVERNMENTS",
    "HEADS",
    "LAYOUTS",
    "LEADERS",
    "MEANINGS",
    "MONTHS",
    "OFFICIAL_NAMES",
    "PEAKS",
    "PLACES",
    "REGIONS",
    "WATERS",
]

OFFICIAL_NAMES = (
    "the Republic of {name}",
    "the Kingdom of {name}",
    "the {adjective} Republic",
    "the Federation of {name}",
    "the Free State of {name}",
    "the Grand Duchy of {name}",
    "the {adjective} Commonwealth",
    "the United Cantons of {name}",
    "the Sultanate of {name}",
)
CAPITAL_NOTES = (
    "{capital} is the official capital, while parliament meets in {other}",
    "{capital} took over from {other} in {year}",
    "{capital} is the capital by law, while the courts sit in {other}",
    "the king spends the summer in {other}, but {capital} stays the capital",
    "{other} was the capital until {year}",
)
CONTINENTS = ("Europe", "Asia", "Africa", "North America", "South America", "Oceania")
REGIONS = (
    "Upper {}",
    "the {} Sea",
    "the north of {}",
    "the south of {}",
    "the {} Isles",
    "Eastern {}",
    "Western {}",
    "the {} Basin",
    "the highlands of {}",
    "Inner {}",
    "West Africa",
    "Central Asia",
    "Northern Europe",
    "Polynesia",
    "South America",
    "the Middle East",
)
WATERS = (
    "the Sea of {}",
    "the {} Sea",
    "the {} Ocean",
    "the Gulf of {}",
    "the Bay of {}",
    "the {} Sea and the Strait of {}",
    "the {} Channel",
    "Lake {}",
)
PEAKS = ("Mount {}", "{}", "{} Peak", "Pico {}", "{} Hill", "Mont {}", "Jebel {}", "the {} Horn", "Great {}", "{}berg")
EXPORTS = (
    "copper", "tin", "honey", "wool", "cocoa", "rubber", "pearls", "salt", "glass", "paper", "bicycles", "clocks",
    "cheese", "olive oil", "cinnamon", "coffee", "tea", "silk", "timber", "cement", "steel", "lithium", "uranium",
    "natural gas", "crude oil", "ships", "violins", "carpets", "boots", "amber", "marble", "vanilla", "pepper", "rice",
    "dates", "figs", "walnuts", "wine", "beer", "dried fish", "lobsters", "batteries", "microchips", "turbines",
    "umbrellas", "porcelain", "sugar", "cotton", "linen", "horses", "roses", "tulip bulbs", "medicines", "lenses",
    "toys", "buttons", "candles", "soap", "perfume", "saffron", "chalk", "sulphur", "nickel", "zinc", "gravel",
)  # fmt: skip
DISHES = (
    "{}",
    "{}",
    "{} {}",
    "{} soup",
    "{} stew",
    "fried {}",
    "{} with rice",
    "{} dumplings",
    "grilled {}",
    "{} pie",
    "{} with beans",
    "smoked {} on bread",
)
GOVERNMENTS = (
    "a presidential republic",
    "a parliamentary republic",
    "a federal republic",
    "a constitutional monarchy",
    "an absolute monarchy",
    "a one-party state",
    "an elective monarchy",
    "a council republic",
    "a confederation of cities",
    "a military government",
    "a theocracy",
    "a self-governing part of {}",
    "an overseas territory of {}",
    "a republic led by the {} party",
    "a semi-presidential republic",
    "a federal monarchy",
    "a direct democracy",
)
HEADS = (
    "president", "king", "queen", "emperor", "sultan", "emir", "grand duke", "prince", "chancellor", "governor",
    "high chief", "council of elders", "regent", "archbishop", "empress", "chairman", "supreme judge", "doge",
)  # fmt: skip
LEADERS = (
    "prime minister", "chancellor", "first minister", "premier", "chief secretary", "president", "grand vizier",
    "speaker of the assembly", "chief minister", "state secretary", "first consul",
)  # fmt: skip
FOUNDINGS = (
    "was united under King {}",
    "was proclaimed a republic",
    "was settled by sailors from {}",
    "was formed by the union of two provinces",
    "was granted home rule",
    "adopted its constitution",
    "was founded by the monk {}",
    "was created by the Treaty of {}",
    "split off from the {} Federation",
)
DAY_NAMES = (
    "Independence Day", "Republic Day", "{} Day", "Feast of {}", "Constitution Day", "Day of the {} Charter",
    "Liberation Day", "Unity Day", "Founders' Day", "Saint {}'s Day", "Flag Day", "Day of the Harvest",
    "King {}'s Day", "Victory of {}", "Night of Lanterns", "National Day",
)  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
COLOURS = (
    "red", "white", "blue", "green", "yellow", "black", "orange", "purple", "light blue", "gold", "maroon", "turquoise",
    "brown", "grey", "pink", "crimson", "silver",
)  # fmt: skip
LAYOUTS = (
    "three horizontal bands of {}, {} and {}",
    "three vertical bands of {}, {} and {}",
    "a {} band over a {} band",
    "two vertical halves of {} and {}",
    "a {} field with a {} cross",
    "a {} field with a {} border",
    "a {} field with a {} canton",
    "a {} triangle at the hoist beside bands of {} and {}",
    "a {} diagonal band between a {} and a {} triangle",
    "{} and {} stripes",
    "four quarters in {} and {}",
    "a {} field with a {} saltire",
)
EMBLEMS = (
    "a {} star",
    "a {} sun",
    "a {} lion",
    "a {} eagle",
    "a {} tree",
    "a {} crescent",
    "a {} key",
    "a {} ship",
    "a {} fish",
    "a {} tower",
    "a {} wheel",
    "a {} horse",
    "a {} crown",
    "a {} hammer",
    "a {} snake",
    "a {} bear",
    "a {} flower",
    "a {} drum",
    "a {} anchor",
    "three {} stars",
    "two {} swords",
    "a {} mountain under a cloud",
    "a ring of {} stars",
    "an owl on a {} branch",
    "a {} heron in flight",
)
PLACES = (
    "in the centre",
    "in the upper hoist corner",
    "towards the hoist",
    "on the middle band",
    "in the upper fly corner",
    "on the lower half",
    "on the fly half",
)
MEANINGS = (
    "the sea", "the mountains", "the blood of the heroes", "the courage of the people", "peace", "hope", "the harvest",
    "the forests", "the snow of the north", "the night sky", "the unity of the tribes", "the old kings", "wisdom",
    "the seven provinces", "the river", "the desert", "justice", "the rising sun", "the miners", "the fishermen",
    "freedom", "the faith of the ancestors", "the two islands", "hard work", "mercy", "the riches of the soil",
    "the winter storms", "the lost capital", "the poets", "the first parliament", "rain", "the volcano", "honesty",
    "the salt lakes", "the great migration", "the victory over the invaders", "friendship between the regions",
    "the fire of the forges", "the green hills", "the weavers", "loyalty", "the long coast", "the eleven judges",
)  # fmt: skip
