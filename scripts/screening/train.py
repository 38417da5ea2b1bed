"""Training of one stage: seeded, resumable, on a GPU where there is one.

It has phases: a long one on windows of pictures, which are cheaper than whole ones and train the
convolutions equally well, then one on whole pictures with a falling learning rate.
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
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from penstock.models.graph.graph import Network
from scripts.screening.feed import Feed
from scripts.screening.nets import STAGES, stage
from scripts.screening.torch_net import TorchNet

__all__ = ["PHASES", "Phase", "load_network", "run_phase"]


@dataclass(frozen=True)
class Phase:
    """A part of a training run.

    Parameters
    ----------
    size : int
        Height and width of the network's input.
    steps : int
    batch : int
    rate : float
        Highest learning rate; it rises over the first steps.
    fall : bool
        Whether the rate falls linearly to 0 at the end.
    decay : float
        Of the weights.
    """

    size: int
    steps: int
    batch: int
    rate: float
    fall: bool
    decay: float = 0.02


# A phase with a constant rate passes on averages over its last steps.
PHASES = {
    "coarse": (
        Phase(size=147, steps=4000, batch=256, rate=2e-3, fall=False),
        Phase(size=227, steps=6000, batch=256, rate=1.5e-3, fall=True),
    ),
    "fine": (
        Phase(size=160, steps=4000, batch=192, rate=2e-3, fall=False),
        Phase(size=224, steps=6000, batch=192, rate=1.5e-3, fall=True),
    ),
}

# Decay of the average of the weights per step.
_AVERAGED = 0.995

# Steps of the learning rate's warm-up, at most an eighth of the phase.
_RISE = 200


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _state(path: Path, device: torch.device) -> dict[str, Any]:
    """The saved state of a phase; None if it was never run."""
    if not path.exists():
        return {}
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def _rate(phase: Phase, step: int, spent: float) -> float:
    """The learning rate of a step; `spent` is the elapsed share of the phase's time."""
    rate = phase.rate * min(1.0, (step + 1) / min(_RISE, max(1, phase.steps // 8)))
    return rate * max(0.0, 1 - max(step / phase.steps, spent)) if phase.fall else rate


def run_phase(
    name: str,
    number: int,
    pool: Path,
    folder: Path,
    *,
    seed: int = 0,
    every: int = 100,
    seconds: float = np.inf,
    say: Callable[[str], None] = print,
) -> None:
    """Run, or resume, a phase of a stage's training.

    The state is in ``<stage>-<phase>.pt`` in `folder`, written every so many steps.  A phase starts
    from the final weights of the previous one, or from their averages if its rate was constant.

    Parameters
    ----------
    name : str
        Of the stage.
    number : int
        Of the phase, from 0.
    pool : Path
        Holds the ``train`` pictures (`scripts.screening.pool`).  New ones are used as soon as they
        are made.
    folder : Path
    seed : int
    every : int
        Steps between two states.
    seconds : float
        Time limit of the phase; a falling rate is scaled to it.
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
    net = TorchNet(stage(name)).to(device, memory_format=torch.channels_last)
    run = {**asdict(phase), "seed": seed}
    path = folder / f"{name}-{number}.pt"
    state = _state(path, device)
    done, views = 0, 0
    if state and state["run"] != run:
        raise ValueError(f"{path}: is of another run: {json.dumps(state['run'])}")
    if state.get("ended"):
        return
    if number and not state:
        before = _state(folder / f"{name}-{number - 1}.pt", device)
        if not before.get("ended"):
            raise ValueError(f"{folder}: phase {number - 1} of {name} comes first")
        net.load_state_dict(before["net"])
        views = before["views"]
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGED), use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), phase.rate, weight_decay=phase.decay)
    if state:
        net.load_state_dict(state["net"])
        average.module.load_state_dict(state["average"])
        average.n_averaged.fill_(state["done"])
        optimiser.load_state_dict(state["optimiser"])
        done, views = state["done"], state["views"]
    net.train()
    share = phase.size / net.network.input.shape[0]
    feed = Feed(pool, device)
    start = begin = time.monotonic()
    # Sums stay on the device: reading the loss of each step would synchronise with it.
    sums, steps, over = torch.zeros(2, device=device), 0, False
    while not over:
        rng = np.random.default_rng((seed, number, done))
        spent = (time.monotonic() - start) / seconds
        pictures, labels = feed.batch(rng, phase.batch, phase.size, share)
        target = torch.from_numpy(labels).to(device)
        for group in optimiser.param_groups:
            group["lr"] = _rate(phase, done, spent)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            out = net(pictures.to(memory_format=torch.channels_last))
        loss = functional.cross_entropy(out.float(), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(net)
        done, steps = done + 1, steps + 1
        views += phase.batch
        sums += torch.stack([loss.detach(), (out.argmax(1) == target).float().mean()])
        over = done >= phase.steps or spent >= 1
        if done % every == 0 or over:
            content = {"run": run, "done": done, "views": views, "ended": over}
            if over:
                # State for the next phase and for `load_network`.
                content["net"] = (net if phase.fall else average.module).state_dict()
            else:
                content["net"] = net.state_dict()
                content["average"] = average.module.state_dict()
                content["optimiser"] = optimiser.state_dict()
            torch.save(content, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
            mean, right = (sums / steps).tolist()
            rate = steps * phase.batch / (time.monotonic() - begin)
            say(
                f"{name} phase {number}: step {done} of {phase.steps}, loss {mean:.4f}, "
                f"right {right:.2%}, {rate:.1f} pictures/s, {feed.count} pictures"
            )
            feed.refresh()
            begin, steps = time.monotonic(), 0
            sums.zero_()


def load_network(name: str, folder: Path) -> Network:
    """Return a stage's float network with the weights of the last falling phase that has ended.

    Raises
    ------
    ValueError
        If none has.
    """
    for number, phase in reversed(list(enumerate(PHASES[name]))):
        state = _state(folder / f"{name}-{number}.pt", torch.device("cpu")) if phase.fall else {}
        if state.get("ended"):
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
    parser.add_argument("--minutes", type=float, default=np.inf, help="at most, for each phase")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--every", type=int, default=100, help="steps between two states")
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
            every=args.every,
            say=lambda line: print(time.strftime("%H:%M:%S"), line, flush=True),
        )


if __name__ == "__main__":
    _main()
