"""Wrote verl.parquet with pyarrow 26.0.1: python make_verl_parquet.py verl.parquet"""
import sys

import pyarrow
import pyarrow.parquet

PROBLEMS = [
    ("A crate holds 12 pears and 3 crates arrive. How many pears are there?", "36"),
    ("Mia has 50 cents and spends 18. How many cents are left?", "32"),
    ("A tram comes every 4 minutes. How often does it come in 2 hours, the first after 4 minutes?", "30"),
    ("Half of a rope of 7 metres is cut off. How many metres are left?", "3.5"),
    ("Two dice show 5 and 6. What is the product?", "30"),
    ("How many even digits are there?", "5"),
]
ROWS = [
    {
        "data_source": "house/arithmetic",
        "prompt": [
            {"role": "system", "content": "Reason, then answer."},
            {"role": "user", "content": question},
        ],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": answer},
        "extra_info": {"split": "train", "index": i},
    }
    for i, (question, answer) in enumerate(PROBLEMS)
]
pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), sys.argv[1], compression="snappy", row_group_size=4)
