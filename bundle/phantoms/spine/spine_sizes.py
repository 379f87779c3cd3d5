"""Sizes of the human spine by level, the averages of the spine phantom.

Lengths in mm of an average adult, rounded, as in morphometric studies (bodies: Panjabi et al., Spine
1991-1992; Busscher et al., Eur Spine J 2010; canal and cord: Frostell et al., Front Neurol 2016). Heights are those of
the posterior wall, which is shorter than the anterior one in the lordotic parts.
"""

from __future__ import annotations

from typing import NamedTuple


class Vertebra(NamedTuple):
    """Average sizes of one vertebra and its level in mm; ``slope`` is the descent of the process per mm backward."""

    name: str
    height: float
    depth: float
    half_width: float
    disc_below: float
    canal: float
    spinous_length: float
    spinous_height: float
    slope: float


VERTEBRAE = (
    Vertebra("C2", 35.0, 15.0, 9.0, 5.2, 17.5, 17.0, 13.0, 0.30),
    Vertebra("C3", 13.4, 15.5, 9.5, 5.0, 15.0, 13.0, 6.0, 0.35),
    Vertebra("C4", 12.8, 15.5, 10.0, 5.0, 14.5, 14.0, 6.0, 0.40),
    Vertebra("C5", 12.2, 15.5, 10.5, 5.0, 14.5, 16.0, 6.0, 0.40),
    Vertebra("C6", 12.2, 16.0, 11.5, 5.2, 14.5, 21.0, 6.5, 0.40),
    Vertebra("C7", 13.8, 16.5, 12.5, 5.2, 15.0, 29.0, 8.0, 0.45),
    Vertebra("T1", 16.2, 17.0, 14.0, 4.6, 15.5, 29.0, 8.5, 0.60),
    Vertebra("T2", 17.4, 18.0, 13.5, 4.3, 15.0, 28.0, 8.0, 0.80),
    Vertebra("T3", 18.0, 19.5, 13.0, 4.1, 15.0, 27.0, 7.5, 1.00),
    Vertebra("T4", 18.5, 21.5, 13.0, 4.1, 15.0, 26.0, 7.0, 1.20),
    Vertebra("T5", 19.0, 23.0, 13.5, 4.2, 15.0, 26.0, 7.0, 1.35),
    Vertebra("T6", 19.6, 24.5, 14.0, 4.4, 15.0, 26.0, 7.0, 1.40),
    Vertebra("T7", 20.1, 26.0, 14.5, 4.6, 15.0, 26.0, 7.0, 1.40),
    Vertebra("T8", 20.6, 27.0, 15.0, 4.8, 15.0, 26.0, 7.5, 1.30),
    Vertebra("T9", 21.3, 28.0, 16.0, 5.0, 15.0, 26.0, 8.0, 1.10),
    Vertebra("T10", 22.3, 28.5, 17.0, 5.2, 15.0, 25.0, 9.0, 0.80),
    Vertebra("T11", 23.8, 29.0, 18.0, 5.5, 15.5, 24.0, 11.0, 0.50),
    Vertebra("T12", 25.3, 29.5, 20.0, 6.2, 17.0, 25.0, 14.0, 0.30),
    Vertebra("L1", 26.8, 30.5, 21.0, 7.0, 18.0, 28.0, 18.0, 0.20),
    Vertebra("L2", 27.4, 31.5, 22.0, 7.8, 17.5, 30.0, 19.5, 0.15),
    Vertebra("L3", 27.2, 32.5, 23.5, 8.4, 17.0, 31.0, 20.0, 0.15),
    Vertebra("L4", 26.0, 33.5, 25.0, 8.4, 17.0, 29.0, 18.0, 0.10),
    Vertebra("L5", 23.6, 34.0, 26.5, 6.8, 17.5, 22.0, 13.0, 0.10),
    Vertebra("S1", 27.0, 25.0, 38.0, 2.2, 16.0, 12.0, 12.0, 0.10),
    Vertebra("S2", 23.0, 16.0, 34.0, 1.8, 13.0, 9.0, 11.0, 0.10),
    Vertebra("S3", 20.0, 12.0, 28.0, 1.6, 9.0, 6.0, 10.0, 0.10),
    Vertebra("S4", 17.0, 9.5, 22.0, 1.5, 7.0, 4.0, 8.0, 0.10),
    Vertebra("S5", 15.0, 8.0, 16.0, 2.5, 4.5, 2.0, 5.0, 0.10),
    Vertebra("Co1", 12.0, 7.5, 9.0, 2.0, 1.0, 0.0, 0.0, 0.0),
    Vertebra("Co2", 9.0, 6.5, 5.0, 1.5, 0.5, 0.0, 0.0, 0.0),
    Vertebra("Co3", 7.0, 5.0, 4.0, 0.0, 0.5, 0.0, 0.0, 0.0),
)
"""From head to foot; the height of C2 includes the dens."""

EXTRA_LUMBAR = VERTEBRAE[22]._replace(name="L6")
"""A sixth lumbar vertebra, of the size of the fifth."""

LUMBOSACRAL = 25
"""The value of the disc above the sacrum in the convention of the Spinal Cord Toolbox, whatever vertebra is above."""


def vertebrae_with(lumbar: int) -> tuple[tuple[Vertebra, ...], tuple[int | None, ...]]:
    """Return the vertebrae of a spine with 4, 5 or 6 lumbar ones, and the values of the discs below each.

    Values are counted from the head, but the disc above the sacrum is always 25. With 4 lumbar vertebrae 24 is
    missing; with 6 the disc between L5 and L6 has no number (None), like those inside the sacrum and below it.

    Raises:
        ValueError: when ``lumbar`` is another number.
    """
    if lumbar not in (4, 5, 6):
        raise ValueError(f"lumbar_vertebrae must be 4, 5 or 6, got {lumbar!r}.")
    upper, fifth, lower = VERTEBRAE[:22], VERTEBRAE[22:23], VERTEBRAE[23:]
    presacral = {4: upper, 5: upper + fifth, 6: upper + fifth + (EXTRA_LUMBAR,)}[lumbar]
    values = [v if v < LUMBOSACRAL else None for v in range(3, 3 + len(presacral))]
    values[-1] = LUMBOSACRAL
    return presacral + lower, (*values, *([None] * (len(lower) - 1)))
