"""Documents that belong together, and folds that keep them so."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.errors import UsageError

Keys = NDArray[np.uint64]


def joined_groups(group: Keys, text: Keys) -> NDArray[np.int64]:
    """A number for each document, the same for all of a group, and for groups that share an identical text.

    The numbers follow the least key in each, so they don't depend on the order of the documents.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    groups, texts = (np.unique(keys, return_inverse=True)[1] for keys in (group, text))
    n_groups = int(groups.max()) + 1
    size = n_groups + int(texts.max()) + 1
    edges = coo_matrix((np.ones(len(groups), np.int8), (groups, n_groups + texts)), (size, size))
    component = connected_components(edges, directed=False)[1][groups]
    least = np.full(int(component.max()) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, component, group)
    return np.unique(least, return_inverse=True)[1][component].astype(np.int64)


def folds_of(group: NDArray[np.int64], key: Keys, synthetic: NDArray[np.bool_], n_folds: int) -> NDArray[np.int64]:
    """The fold of each document. A group is never cut.

    Groups with human text only, with synthetic text only and with both are dealt out one kind after the other, each in
    the order of the hashes in `key`. Raises `UsageError` where a fold has documents of one side only.
    """
    n_groups = int(group.max()) + 1
    has = [np.bincount(group[synthetic == side], minlength=n_groups) > 0 for side in (False, True)]
    least = np.full(n_groups, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, group, key)
    dealt = np.empty(n_groups, np.int64)
    dealt[np.lexsort((least, has[0] + 2 * has[1]))] = np.arange(n_groups) % n_folds
    fold = dealt[group]
    for side, name in ((False, "human"), (True, "synthetic")):
        present = np.unique(fold[synthetic == side])
        if len(present) < n_folds:
            found = count_of_groups(group, synthetic == side)
            raise UsageError(f"{found} groups with {name} documents are too few for {n_folds} folds that all hold some")
    return fold


def count_of_groups(group: NDArray[Any], rows: NDArray[np.bool_]) -> int:
    return len(np.unique(group[rows]))
