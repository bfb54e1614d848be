"""Usage: spark-submit spark.py OUT.tap INPUT...

The profile of a DataFrame's texts by Spark's mapInArrow: a profile for each partition, which are added up in a tree.
"""

import sys
from collections.abc import Iterator
from functools import reduce

import pyarrow as pa
from pyspark.sql import SparkSession

import textassay as ta

FAN_IN = 16


def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The texts of a partition to one row: their profile."""
    scanner = ta.Scanner(threads=1)
    for batch in batches:
        scanner.update(batch.column("text"))
    yield pa.record_batch({"profile": [scanner.profile.serialize()]})


def add_up(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The profiles of a partition to one row."""
    total = None
    for batch in batches:
        for data in batch.column("profile").to_pylist():
            profile = ta.Profile.deserialize(data)
            total = profile if total is None else total | profile
    if total is not None:
        yield pa.record_batch({"profile": [total.serialize()]})


def main(out: str, inputs: list[str]) -> None:
    spark = SparkSession.builder.appName("textassay").getOrCreate()
    profiles = spark.read.json(inputs).select("text").mapInArrow(count, "profile binary")
    while (parts := profiles.rdd.getNumPartitions()) > FAN_IN:
        profiles = profiles.coalesce(-(-parts // FAN_IN)).mapInArrow(add_up, "profile binary")
    rows = profiles.toLocalIterator()
    reduce(ta.Profile.__or__, (ta.Profile.deserialize(bytes(row.profile)) for row in rows)).save(out)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
