"""Published benchmarks as evaluations: read from the files that they publish, scored by their own rules.

| module | what it reads |
|---|---|
| `m2kr` | M2KR, and OK-VQA as FLMR was published with it, from the hub or a folder of parquet files |
| `okvqa` | OK-VQA's JSON files of questions and annotations |
| `aokvqa` | A-OKVQA's JSON files |
| `evqa` | Encyclopedic-VQA's CSV files |
| `infoseek` | InfoSeek's JSON Lines, question types beside them |
| `regions` | cuts the regions of a picture, for FLMR |
| `opening` | finds the right one by `NAME:...` |
"""
