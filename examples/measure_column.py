"""Measure a column of pandas or Polars, and join the figures to it: python examples/measure_column.py.

The texts are read where they lie, without a copy of the strings.
"""

import pandas as pd
import polars as pl

import textassay as ta

TEXTS = [
    "The night was dark. It rained, and somebody knocked at the door of the old mill; nobody answered.",
    "It's worth noting that we delve into a rich tapestry. It's worth noting that we delve into it again.",
    "no no no no no no no no no no no no no no no no no no no no no no no no no no no no",
]
SIGNALS = "n_tokens,mattr,burstiness,marker_rate"


def main() -> None:
    # pandas
    frame = pd.DataFrame({"id": ["novel", "assistant", "loop"], "text": TEXTS})
    figures = ta.measure(frame["text"], signals=SIGNALS).to_pandas()
    frame = frame.join(figures)
    print(frame.drop(columns="text"))
    assert frame.set_index("id")["marker_rate"].idxmax() == "assistant"

    # Polars
    corpus = pl.DataFrame({"id": ["novel", "assistant", "loop"], "text": TEXTS})
    corpus = corpus.hstack(ta.measure(corpus["text"], signals=SIGNALS).to_polars())
    lively = corpus.filter(pl.col("mattr") > 0.5)
    print(lively.select("id", "mattr"))
    assert lively["id"].to_list() == ["novel", "assistant"]


if __name__ == "__main__":
    main()
