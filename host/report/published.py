"""Published results of other designs for the convolutions of AlexNet, with sources."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PUBLISHED", "Published"]


@dataclass(frozen=True)
class Published:
    """One published design.

    Parameters
    ----------
    name : str
    efficiency : float or None
        Share of the peak over the convolutions.
    bytes : int or None
        Memory traffic of the convolutions for one image.
    source : str
        Title, authors, venue, year.
    note : str
        Derivation of the figures.
    """

    name: str
    efficiency: float | None
    bytes: int | None
    source: str
    note: str


PUBLISHED = (
    Published(
        name="Snowflake",
        efficiency=0.9375,
        bytes=None,
        source=(
            "V. Gokhale, A. Zaidy, A. X. M. Chang, E. Culurciello: Snowflake: A Model Agnostic "
            "Accelerator for Deep Convolutional Neural Networks, arXiv:1708.02579, 2017"
        ),
        note="120 of 128 G-ops/s on AlexNet, 256 MACs, Zynq XC7Z045",
    ),
    Published(
        name="Eyeriss",
        efficiency=0.766,
        bytes=3_850_000,
        source=(
            "Y.-H. Chen, T. Krishna, J. S. Emer, V. Sze: Eyeriss: An Energy-Efficient "
            "Reconfigurable Accelerator for Deep Convolutional Neural Networks, IEEE Journal of "
            "Solid-State Circuits 52(1), pp. 127-138, 2017"
        ),
        note=(
            "168 PEs, batches of 4. The bytes agree with the abstract's 0.0029 accesses of 16 bits "
            "for each of 666 M MACs; the efficiency, of the grouped network, is the figure this "
            "project set out against and was not checked against the paper's tables"
        ),
    ),
    Published(
        name="NVDLA (model)",
        efficiency=None,
        bytes=4_533_440,
        source=(
            "NVIDIA: NVDLA_OpenSource_Performance.xlsx in github.com/nvdla/hw, folder perf, 2018"
        ),
        note=(
            "sheet AlexNet, 8-bit data, 512 KiB of buffer and no second memory: the DRAM traffic "
            "of its eight convolution rows, 4427 KiB"
        ),
    ),
)
