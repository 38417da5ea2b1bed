"""Training of one stage: seeded, resumable, on a GPU where there is one.

It goes in phases: long on small windows of pictures, which costs a quarter of a whole picture and
teaches the convolutions the same, then short on whole ones.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.graph import Network
from scripts.screening.augment import augment
from scripts.screening.nets import STAGES, stage
from scripts.screening.pool import CHUNK, Chunk, chunks
from scripts.screening.torch_net import TorchNet

__all__ = ["PHASES", "Phase", "load_network", "run_phase"]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Phase:
    """A part of a training run.

    Parameters
    ----------
    size : int
        Height and width of what the network sees.
    steps : int
    batch : int
    rate : float
        Highest learning rate; it rises over the first steps.
    fall : bool
        Whether the rate falls to nothing at the end, along a line.
    decay : float
        Of the weights.
    """

    size: int
    steps: int
    batch: int
    rate: float
    fall: bool
    decay: float = 0.02


# A phase of steady rate may be cut short or go on; it hands on averages over its last steps.
PHASES = {
    "coarse": (
        Phase(size=115, steps=75, batch=32, rate=1e-3, fall=False),
        Phase(size=99, steps=400, batch=16, rate=7e-4, fall=False),
        Phase(size=227, steps=64, batch=16, rate=7e-4, fall=True),
        Phase(size=147, steps=6000, batch=16, rate=7e-4, fall=False),
        Phase(size=227, steps=300, batch=16, rate=5e-4, fall=True),
    ),
    "fine": (
        Phase(size=128, steps=470, batch=32, rate=2e-3, fall=False),
        Phase(size=224, steps=64, batch=32, rate=1e-3, fall=True),
        Phase(size=160, steps=4000, batch=32, rate=1e-3, fall=False),
        Phase(size=224, steps=200, batch=32, rate=7e-4, fall=True),
    ),
}

# Of the average, at each step.
_AVERAGED = 0.99

# Over so many steps, or an eighth of the phase, the rate rises.
_RISE = 40


def _rate(phase: Phase, step: int) -> float:
    rate = phase.rate * min(1.0, (step + 1) / min(_RISE, phase.steps // 8))
    return rate * (1 - step / phase.steps) if phase.fall else rate


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _tensor(pictures: list[Pixels], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).to(device).permute(0, 3, 1, 2).contiguous()


def _batch(
    pool: list[Chunk], phase: Phase, share: float, seed: tuple[int, ...]
) -> tuple[list[Pixels], list[int]]:
    rng = np.random.default_rng(seed)
    pictures, labels = [], []
    for index in rng.integers(0, len(pool) * CHUNK, phase.batch):
        entry = pool[int(index) // CHUNK][int(index) % CHUNK]
        left, top, right, bottom = (int(v) for v in entry["box"])
        box = left, top, right, bottom
        pictures.append(augment(rng, entry["pixels"], box, phase.size, share))
        labels.append(int(entry["label"]))
    return pictures, labels


def _state(path: Path, device: torch.device) -> dict[str, Any]:
    """What a phase left; nothing if it was never run."""
    if not path.exists():
        return {}
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def run_phase(
    name: str,
    number: int,
    pool_folder: Path,
    folder: Path,
    *,
    seed: int = 0,
    every: int = 10,
    seconds: float = np.inf,
    say: Callable[[str], None] = print,
) -> None:
    """Run a phase of a stage's training from where it stopped to its end.

    The state is in ``<stage>-<phase>.pt`` in `folder`, written every so many steps.  A phase begins
    with the weights the one before ended with, or with their averages if its rate was steady.

    Parameters
    ----------
    name : str
        Of the stage.
    number : int
        Of the phase, from 0.
    pool_folder : Path
        Holds the ``train`` pictures (`scripts.screening.pool`).  New ones are taken in as they
        come.
    folder : Path
    seed : int
    every : int
        Steps between two states.
    seconds : float
        A phase of steady rate ends after that.
    say : callable

    Raises
    ------
    ValueError
        If there are no pictures, the state is of another run, or the phase before did not end.
    """
    phase = PHASES[name][number]
    device = _device()
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    net = TorchNet(stage(name)).to(device)
    run = {**asdict(phase), "seed": seed}
    if not phase.fall:
        del run["steps"]
    path = folder / f"{name}-{number}.pt"
    state = _state(path, device)
    done, views = 0, 0
    if number and not state:
        before = _state(folder / f"{name}-{number - 1}.pt", device)
        if not before:
            raise ValueError(f"{folder}: phase {number - 1} of {name} comes first")
        net.load_state_dict(before["net" if PHASES[name][number - 1].fall else "average"])
        views = before["views"]
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGED), use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), phase.rate, weight_decay=phase.decay)
    if state:
        if state["run"] != run:
            raise ValueError(f"{path}: is of another run: {json.dumps(state['run'])}")
        net.load_state_dict(state["net"])
        average.module.load_state_dict(state["average"])
        average.n_averaged.fill_(state["done"])
        optimiser.load_state_dict(state["optimiser"])
        done, views = state["done"], state["views"]
    net.train()
    share = phase.size / net.network.input.shape[0]
    begin, losses, right = time.monotonic(), [], []
    pool: list[Chunk] = []
    limit = np.inf if phase.fall else time.monotonic() + seconds
    while done < phase.steps and (time.monotonic() < limit or done % every):
        if done % every == 0 or not pool:
            pool = list(chunks(pool_folder, "train"))
            if not pool:
                raise ValueError(f"{pool_folder}: there are no pictures to train with")
        pictures, labels = _batch(pool, phase, share, (seed, number, done))
        target = torch.tensor(labels, device=device)
        for group in optimiser.param_groups:
            group["lr"] = _rate(phase, done)
        out = net(_tensor(pictures, device))
        loss = functional.cross_entropy(out, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(net)
        done += 1
        views += phase.batch
        losses.append(float(loss.detach()))
        right.append(float((out.argmax(1) == target).float().mean()))
        if done % every == 0 or done == phase.steps:
            content = {
                "run": run,
                "net": net.state_dict(),
                "average": average.module.state_dict(),
                "optimiser": optimiser.state_dict(),
                "done": done,
                "views": views,
            }
            torch.save(content, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
            rate = len(losses) * phase.batch / (time.monotonic() - begin)
            say(
                f"{name} phase {number}: step {done} of {phase.steps}, loss {np.mean(losses):.4f}, "
                f"right {np.mean(right):.2%}, {rate:.1f} pictures/s, {len(pool) * CHUNK} pictures"
            )
            begin, losses, right = time.monotonic(), [], []


def load_network(name: str, folder: Path) -> Network:
    """Return a stage's float network with the weights of the last falling phase that has ended.

    Raises
    ------
    ValueError
        If none has.
    """
    for number, phase in reversed(list(enumerate(PHASES[name]))):
        state = _state(folder / f"{name}-{number}.pt", torch.device("cpu")) if phase.fall else {}
        if state.get("done") == phase.steps:
            net = TorchNet(stage(name))
            net.load_state_dict(state["net"])
            seed = state["run"]["seed"]
            return net.to_network(
                source=f"scripts/screening: {state['views']} views of made pictures, seed {seed}"
            )
    raise ValueError(f"{folder}: no training of {name} has come to its end")


def _main() -> None:
    parser = argparse.ArgumentParser(description="Train a stage of the screening model.")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--pool", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of training states")
    parser.add_argument("--phase", type=int, action="append", help="this phase only")
    parser.add_argument("--minutes", type=float, default=np.inf, help="for each steady phase")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for number in args.phase or range(len(PHASES[args.stage])):
        run_phase(
            args.stage,
            number,
            args.pool,
            args.out,
            seed=args.seed,
            seconds=args.minutes * 60,
            say=lambda line: print(time.strftime("%H:%M:%S"), line, flush=True),
        )


if __name__ == "__main__":
    _main()
