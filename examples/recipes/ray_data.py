"""Usage: ray_data.py OUT.tap INPUT...

Signals of every document and the profile of all, inside a pipeline of Ray Data. It reads the text itself, so it is slower than
`textassay scan --engine ray`; it is for text that is in a Ray Dataset anyway.
"""

import sys
from functools import reduce

import pyarrow as pa
import ray

import textassay as ta


def add_signals(documents: pa.Table) -> pa.Table:
    """A column for each signal."""
    for name, column in ta.measure(documents["text"], threads=1).to_dict().items():
        documents = documents.append_column(name, pa.array(column, from_pandas=True))
    return documents


def count(documents: pa.Table) -> pa.Table:
    """A batch of documents to one row: their profile."""
    scanner = ta.Scanner(threads=1)
    scanner.update(documents["text"])
    return pa.table({"profile": pa.array([scanner.profile.serialize()], pa.large_binary())})


def add_up(profiles: pa.Table) -> pa.Table:
    """Rows of profiles to one."""
    total = reduce(ta.Profile.__or__, map(ta.Profile.deserialize, profiles["profile"].to_pylist()))
    return pa.table({"profile": pa.array([total.serialize()], pa.large_binary())})


def main(out: str, inputs: list[str]) -> None:
    documents = ray.data.read_json(inputs)
    print(documents.map_batches(add_signals, batch_format="pyarrow").sort("mattr").take(1))
    profiles = documents.map_batches(count, batch_format="pyarrow", batch_size=20_000)
    profiles = profiles.map_batches(add_up, batch_format="pyarrow", batch_size=16)
    parts = (ta.Profile.deserialize(row["profile"]) for row in profiles.iter_rows())
    reduce(ta.Profile.__or__, parts).save(out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
