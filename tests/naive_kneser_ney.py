"""Interpolated modified Kneser-Ney of order 3 as the paper has it (Chen & Goodman 1999), in dictionaries: slow and plain."""

import math
from collections import Counter, defaultdict

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


class NaiveModel:
    """`sentences` are lists of words; a word seen less than `min_count` times is <unk>."""

    def __init__(self, sentences, min_count):
        seen = Counter(word for sentence in sentences for word in sentence)
        self.vocabulary = {word for word, count in seen.items() if count >= min_count}
        lines = [[BEGIN, *map(self.known, sentence), END] for sentence in sentences]
        trigrams = Counter(tuple(line[i : i + 3]) for line in lines for i in range(len(line) - 2))
        befores = defaultdict(set)
        for line in lines:
            for i in range(1, len(line) - 1):
                befores[line[i], line[i + 1]].add(line[i - 1])
        bigrams = Counter({pair: len(before) for pair, before in befores.items()})
        bigrams.update(tuple(line[:2]) for line in lines)  # behind <s> nothing can stand: they keep their counts
        unigrams = Counter(last for _, last in bigrams)
        self.levels = [self.level({(w,): c for w, c in unigrams.items()}), self.level(bigrams), self.level(trigrams)]
        self.uniform = 1 / (len(self.vocabulary) + 2)  # and <unk> and </s>

    def known(self, word):
        return word if word in self.vocabulary else UNKNOWN

    @staticmethod
    def level(counts):
        t = Counter(counts.values())
        discounts = [0, 0.5, 1.0, 1.5]
        if t[1] and t[2] and t[3]:
            y = t[1] / (t[1] + 2 * t[2])
            estimated = [0, *(k - (k + 1) * y * t[k + 1] / t[k] for k in (1, 2, 3))]
            if all(0 <= d <= k for k, d in enumerate(estimated)):
                discounts = estimated
        followers = defaultdict(list)
        for ngram, count in counts.items():
            followers[ngram[:-1]].append(count)
        gammas = {c: sum(discounts[min(n, 3)] for n in found) / sum(found) for c, found in followers.items()}
        return counts, discounts, {c: sum(found) for c, found in followers.items()}, gammas

    def probability(self, ngram):
        if not ngram:
            return self.uniform
        counts, discounts, totals, gammas = self.levels[len(ngram) - 1]
        context = ngram[:-1]
        if context not in totals:
            return self.probability(ngram[1:])
        count = counts.get(ngram, 0)
        own = max(0, count - discounts[min(count, 3)]) / totals[context]
        return own + gammas[context] * self.probability(ngram[1:])

    def perplexity(self, sentences):
        total = n = 0
        for sentence in sentences:
            line = [BEGIN, *map(self.known, sentence), END]
            for i in range(1, len(line)):
                total += math.log10(self.probability(tuple(line[max(0, i - 2) : i + 1])))
                n += 1
        return 10 ** (-total / n)
