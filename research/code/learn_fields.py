"""Learn the fields of `clavilux.painter.marks.learnt` from pictures: tileable, uniform, with the textures that art has.

    windows of real pictures -> relief (grey without layout) -> families of textures -> exemplars
        -> fields whose signs, to a network that knows pictures, correlate as those of an exemplar do -> fields.npz

    python -m clavilux.training.learn_fields runs/mine/windows-training.npz nsfwjs-4.4.0.tgz -o fields.npz

Texture synthesis by correlations of features (Gatys et al. 2015), with three differences: the features are those of a
small network (`clavilux.training.teacher`); the picture wraps around; and its values are uniform at every step,
because each is replaced by its rank. Only windows of abstract and generative pictures are looked at, and only what is
finer than their layout: not one of them can be found again in a field, but for how its shapes and its paint are made.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional

from clavilux.painter.marks.learnt import FAMILIES, SIDE, VARIANTS
from clavilux.system.files import write_whole
from clavilux.training.analysis import Windows
from clavilux.training.cache import load_record
from clavilux.training.teacher import Teacher

_GREY = np.array([0.25, 0.6, 0.15], np.float32)
_LAYOUT_PX = 12.0  # deviation of the blur that is taken away: what is larger is layout, and the plan's business
_LEVEL_PX = 20.0  # and of the one over which contrast is evened out
_QUIET = 4.0  # 8-bit levels: relief below this is noise and is not made louder
_LEAST_RELIEF = 8.0  # windows with less of it have no texture to learn
_CLUSTERS = 14
_CLUSTER_DIM = 24
_TAPS = (0, 2, 5)  # blocks of the teacher: strides of 2, 4 and 8
_SCALES = (1, 2)  # the picture, and at half its size
_MARGIN = 24  # pixels by which a field is continued around its edges, so that no feature sees an end
STEPS = 300
_RATE = 0.05
_BLUR = (0.25, 0.5, 0.25)  # of the field along each axis: without it, dots that strides of 2 do not see
_WINDOWS = 128  # at a time

Float32 = NDArray[np.float32]


def main() -> None:
    """Learn and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("windows", type=Path, help="windows-training.npz of a training")
    parser.add_argument("teacher", type=Path, help="nsfwjs-4.4.0.tgz, of `npm pack nsfwjs@4.4.0`")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    windows = load_record(arguments.windows, Windows)
    assert windows is not None, "no key is asked for"
    teacher = Teacher(arguments.teacher).eval()
    exemplars = choose_exemplars(windows, teacher, seed=arguments.seed)
    fields = learn_fields(exemplars, teacher, seed=arguments.seed)
    content = {name: fields[VARIANTS * n : VARIANTS * (n + 1)] for n, name in enumerate(FAMILIES)}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **content)
    write_whole(arguments.output, packed.getvalue())


def choose_exemplars(windows: Windows, teacher: Teacher, *, seed: int) -> Float32:
    """Reliefs that stand for the largest families of textures, the largest first: (families * variants, 128, 128).

    Families are clusters of what the teacher sees in reliefs; their exemplars come from the pictures nearest to the
    middle, one from each.
    """
    chosen = [i for i, source in enumerate(windows.source) if windows.roles[source] != "painting"]
    grey = windows.windows[chosen].astype(np.float32) @ _GREY
    layout = np.stack([gaussian_filter(picture, _LAYOUT_PX) for picture in grey])
    reliefs = np.stack([make_relief(picture) for picture in grey])
    signs = np.concatenate([_signs(teacher, reliefs[i : i + _WINDOWS]) for i in range(0, len(reliefs), _WINDOWS)])
    signs = (signs - signs.mean(axis=0)) / (signs.std(axis=0) + 1e-6)
    left, values, _ = np.linalg.svd(signs, full_matrices=False)
    places = (left * values)[:, :_CLUSTER_DIM]
    textured = np.flatnonzero((grey - layout).std(axis=(1, 2)) > _LEAST_RELIEF)
    clusters = KMeans(_CLUSTERS, n_init=4, random_state=seed).fit(places[textured])
    sizes = np.bincount(clusters.labels_, minlength=_CLUSTERS)
    exemplars = []
    for cluster in np.argsort(-sizes, kind="stable")[: len(FAMILIES)]:
        members = textured[clusters.labels_ == cluster]
        near = members[((places[members] - clusters.cluster_centers_[cluster]) ** 2).sum(axis=1).argsort()]
        _, first = np.unique(windows.source[chosen][near], return_index=True)
        exemplars += list(near[np.sort(first)][:VARIANTS])
    return reliefs[exemplars]


def make_relief(grey: Float32) -> Float32:
    """Grey (S, S) without its layout, at one contrast everywhere, as ranks in (0, 1)."""
    rough = grey - gaussian_filter(grey, _LAYOUT_PX)
    even = rough / (np.sqrt(gaussian_filter(rough**2, _LEVEL_PX)) + _QUIET)
    ranks = even.ravel().argsort(kind="stable").argsort(kind="stable").reshape(grey.shape)
    return np.asarray((ranks + 0.5) / ranks.size, np.float32)


def learn_fields(exemplars: Float32, teacher: Teacher, *, seed: int, steps: int = STEPS) -> NDArray[np.uint8]:
    """Fields (n, SIDE, SIDE) uint8, uniform on 0 to 255, in which textures are those of exemplars (n, S, S)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        wanted = _correlations(teacher, torch.from_numpy(exemplars))
    sizes = [matrix.square().sum(dim=(1, 2)) for matrix in wanted]
    n = len(exemplars)
    coarse = torch.randn(n, 1, SIDE // 4, SIDE // 4, generator=generator)
    field = functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")[:, 0]
    field = field + 0.3 * torch.randn(n, SIDE, SIDE, generator=generator)
    field.requires_grad_()
    optimizer = torch.optim.Adam([field], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        down, right = torch.randint(SIDE, (2,), generator=generator).tolist()
        rolled = torch.roll(_to_ranks(_blur(field)), (down, right), dims=(1, 2))
        wide = functional.pad(rolled[:, None], (_MARGIN,) * 4, mode="circular")[:, 0]
        found = _correlations(teacher, wide)
        loss = torch.stack(
            [((a - b).square().sum(dim=(1, 2)) / size).mean() for a, b, size in zip(found, wanted, sizes, strict=True)]
        ).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            print(f"step {step}/{steps}, loss {loss.item():.4g}", flush=True)
    with torch.no_grad():
        return np.asarray((_to_ranks(_blur(field)) * 256).floor().numpy(), np.uint8)


def _blur(field: Tensor) -> Tensor:
    """A little, around the edges of (n, S, S)."""
    side, middle, _ = _BLUR
    for axis in (1, 2):
        field = middle * field + side * (torch.roll(field, 1, dims=axis) + torch.roll(field, -1, dims=axis))
    return field


def _to_ranks(field: Tensor) -> Tensor:
    """Ranks of (n, S, S) within each, in (0, 1); gradients are those of the normal distribution function."""
    flat = field.flatten(1)
    steps = (torch.arange(flat.shape[1]) + 0.5) / flat.shape[1]
    ranks = torch.empty_like(flat).scatter(1, flat.detach().argsort(dim=1), steps.expand(len(flat), -1))
    smooth = torch.special.ndtr((flat - flat.mean(dim=1, keepdim=True)) / flat.std(dim=1, keepdim=True))
    told: Tensor = (ranks + smooth - smooth.detach()).view_as(field)
    return told


def _seen(teacher: Teacher, reliefs: Tensor) -> list[Tensor]:
    """Maps (n, C, positions) of each tap at each scale."""
    maps = []
    for scale in _SCALES:
        small = functional.avg_pool2d(reliefs[:, None], scale)
        maps += [tap.flatten(2) for tap in teacher.taps(small.expand(-1, 3, -1, -1), _TAPS)]
    return maps


def _correlations(teacher: Teacher, reliefs: Tensor) -> list[Tensor]:
    """How channels go together, (n, C, C) each."""
    return [seen @ seen.transpose(1, 2) / seen.shape[2] for seen in _seen(teacher, reliefs)]


@torch.no_grad()
def _signs(teacher: Teacher, reliefs: Float32) -> NDArray[np.float64]:
    """Means and deviations of channels at the first scale, (n, 2 C)."""
    maps = _seen(teacher, torch.from_numpy(reliefs))[: len(_TAPS)]
    parts = [part for seen in maps for part in (seen.mean(dim=2), seen.std(dim=2))]
    return np.asarray(torch.cat(parts, dim=1).double().numpy())


if __name__ == "__main__":
    main()
