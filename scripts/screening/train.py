"""Training of one stage: seeded, resumable, on a GPU where there is one.

Pictures are made as they are needed, each seen once; what validation says decides nothing but when
to stop looking, so the last weights are the ones that ship.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from models.graph import Network
from scripts.screening.dataset import picture
from scripts.screening.nets import stage
from scripts.screening.torch_net import TorchNet

__all__ = ["Recipe", "Pictures", "scores", "train"]


@dataclass(frozen=True)
class Recipe:
    """What a training run does.

    Parameters
    ----------
    stage : str
    pictures : int
        In all; each is seen once.
    batch : int
    rate : float
        Highest learning rate; it rises for a twentieth of the run and falls along a cosine.
    decay : float
        Of the weights.
    seed : int
    """

    stage: str
    pictures: int = 200_000
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.02
    seed: int = 0

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return self.pictures // self.batch


class Pictures(Dataset[tuple[np.ndarray, int]]):
    """Pictures of a split as a network takes them.

    Parameters
    ----------
    split : str
    first, count : int
    size : int
        Height and width.
    """

    def __init__(self, split: str, first: int, count: int, size: int) -> None:
        self.split, self.first, self.count, self.size = split, first, count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Return pixels (3, size, size) uint8, and the label."""
        scene = picture(self.split, self.first + index)
        image = Image.fromarray(scene.pixels)
        small = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1)), scene.label


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _loader(pictures: Pictures, batch: int, workers: int) -> DataLoader[tuple[np.ndarray, int]]:
    return DataLoader(
        pictures, batch, num_workers=workers, persistent_workers=False, pin_memory=False
    )


@torch.no_grad()
def scores(net: TorchNet, split: str, count: int, *, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the logit of ``code`` less that of ``pass`` for pictures of a split, and their labels."""
    device = next(net.parameters()).device
    net.eval()
    values, labels = [], []
    size = net.network.input.shape[0]
    for pixels, label in _loader(Pictures(split, 0, count, size), 64, workers):
        logits = net(pixels.to(device))
        values.append((logits[:, 1] - logits[:, 0]).float().cpu().numpy())
        labels.append(label.numpy())
    net.train()
    return np.concatenate(values), np.concatenate(labels)


def _batches(recipe: Recipe, size: int, done: int, workers: int) -> Iterator[tuple]:
    first = done * recipe.batch
    rest = Pictures("train", first, recipe.steps * recipe.batch - first, size)
    yield from _loader(rest, recipe.batch, workers)


def train(recipe: Recipe, folder: Path, *, workers: int = 2, every: int = 200) -> Network:
    """Train a stage and return its float network.

    The state is written to `folder` every so many steps and when the run is done; a run with the
    same recipe goes on from there.

    Parameters
    ----------
    recipe : Recipe
    folder : Path
    workers : int
        Processes that make pictures.
    every : int
        Steps between two states.

    Raises
    ------
    ValueError
        If `folder` holds the state of another recipe.
    """
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    device = _device()
    net = TorchNet(stage(recipe.stage)).to(device)
    optimiser = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, recipe.steps, pct_start=0.05
    )
    state_file = folder / f"{recipe.stage}.pt"
    done = 0
    if state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        if state["recipe"] != asdict(recipe):
            raise ValueError(f"{state_file}: is of another recipe: {json.dumps(state['recipe'])}")
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        done = state["done"]

    def save() -> None:
        fresh = state_file.with_suffix(".new")
        content = {
            "recipe": asdict(recipe),
            "net": net.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "done": done,
        }
        torch.save(content, fresh)
        fresh.replace(state_file)

    net.train()
    begin, loss_sum, right, seen = time.monotonic(), 0.0, 0, 0
    for pixels, label in _batches(recipe, net.network.input.shape[0], done, workers):
        label = label.to(device)
        logits = net(pixels.to(device))
        loss = functional.cross_entropy(logits, label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        done += 1
        loss_sum += float(loss) * len(label)
        right += int((logits.argmax(1) == label).sum())
        seen += len(label)
        if done % every == 0 or done == recipe.steps:
            save()
            rate = seen / (time.monotonic() - begin)
            print(
                f"{recipe.stage}: step {done} of {recipe.steps}, loss {loss_sum / seen:.4f}, "
                f"right {right / seen:.2%}, {rate:.0f} pictures/s",
                flush=True,
            )
            begin, loss_sum, right, seen = time.monotonic(), 0.0, 0, 0
    source = f"trained on {recipe.pictures} made pictures, seed {recipe.seed}"
    return net.to_network(source=source)
