"""Words for made-up labelled documents: common ones, and some that tell the sides apart."""

# fmt: off
COMMON = [
    "the", "of", "and", "to", "in", "is", "it", "that", "was", "for", "on", "with", "as", "at", "by", "this", "had", "not", "are", "but",
    "from", "or", "have", "an", "they",
]
# fmt: on
TELLING = {False: ["honestly", "bloke", "dunno"], True: ["delve", "tapestry", "testament"]}
