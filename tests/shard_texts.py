"""The texts of the seven shards that the fixture `corpus` writes."""

SHARD_TEXTS = [[f"word{n % (7 * k + 3)} and the {'rest ' * (n % 5)}" for n in range(3 * k * k + 1)] for k in range(7)]
