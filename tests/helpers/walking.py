"""Videos of drawn people who walk past cameras, and what a perfect tracker would write of them.

    cameras = walking(folder, cameras=2, people=6)
    python -m dcreid tracklets 1.mkv 2.mkv --tracks 1.txt 2.txt --out DIR   # in that folder

As a command, `python tests/helpers/walking.py DIR`, it makes those of docs/use.md, with `truth.csv`.

Everybody crosses the picture of every camera `visits` times, one after the other, in a lane and at a pace
of their own, from outside it to outside it again. Each crossing is a track with a number of its own. Boxes
are whole pixels, twice as high as wide; people nearer to the camera hide those behind them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from dcreid.data.synthetic.figures import Figures, draw
from dcreid.data.synthetic.pedestrians import People, draw_people
from dcreid.data.synthetic.scenes import Cameras, build_cameras

_DIFFICULTY = 0.25  # how much cameras differ


@dataclass(frozen=True)
class Camera:
    """What one camera saw, and the truth about it."""

    number: int
    video: Path
    tracks: Path  # the tracker's file
    pictures: np.ndarray  # uint8 (frames, height, width, 3), as they were drawn
    boxes: np.ndarray  # int64 (n, 6): frame from 1, track, left, top, width, height
    person: dict[int, int]  # of every track


def walking(
    folder: Path,
    *,
    cameras: int = 1,
    people: int = 3,
    visits: int = 1,
    frames: int = 40,
    height: int = 120,
    width: int = 160,
    codec: str = "ffv1",
    seed: int = 0,
) -> list[Camera]:
    """Writes `1.mkv`, `1.txt`, `2.mkv`, … below `folder`. ffv1 loses nothing; mpeg4 does, as videos do."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    walkers, seen = draw_people(people, 0.0, rng), build_cameras(cameras, _DIFFICULTY, rng)
    made = []
    for camera in range(cameras):
        pictures = _street(seen, camera, frames, height, width)
        person, boxes = _cross(pictures, walkers, seen, camera, visits, rng)
        video, tracks = folder / f"{camera + 1}.mkv", folder / f"{camera + 1}.txt"
        write_video(video, pictures, codec)
        tracks.write_text("".join(f"{','.join(map(str, box))},0.9,-1,-1,-1\n" for box in boxes.tolist()))
        made.append(Camera(camera + 1, video, tracks, pictures, boxes, person))
    return made


def write_video(path: Path, pictures: np.ndarray, codec: str = "ffv1", turned: int = 0) -> None:
    """turned: degrees by which players are to turn the pictures, against the clock."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        if turned:
            stream.set_display_rotation(turned)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_frames(folder: Path, pictures: np.ndarray) -> None:
    """A folder of frames such as MOT Challenge's img1, without loss."""
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures, start=1):
        Image.fromarray(picture).save(folder / f"{number:06d}.png", compress_level=1)


def _street(seen: Cameras, camera: int, frames: int, height: int, width: int) -> np.ndarray:
    street = Image.fromarray(seen.streets[camera]).resize((width, height), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(street)[None], frames, axis=0)


def _cross(
    pictures: np.ndarray, people: People, seen: Cameras, camera: int, visits: int, rng: np.random.Generator
) -> tuple[dict[int, int], np.ndarray]:
    """Draws all crossings into the pictures, those far away first; the tracks' people, and their boxes."""
    total, height, width = pictures.shape[:3]
    crossings = rng.permutation(visits * len(people))  # the first are those farthest away
    ids = 1 + rng.permutation(2 * len(crossings))[: len(crossings)]  # trackers leave numbers out
    high = np.sort(rng.integers(round(0.45 * height), round(0.6 * height), size=len(crossings)) // 2 * 2)
    slot = total // visits  # of frames, for each visit
    boxes, person = [], dict[int, int]()
    for track, crossing, box_height in zip(ids.tolist(), crossings.tolist(), high.tolist(), strict=True):
        visit, who = divmod(crossing, len(people))
        person[track] = who
        box_width = box_height // 2
        length = int(rng.integers(slot // 2, round(0.8 * slot)))
        first = visit * slot + int(rng.integers(0, slot - length + 1))
        left = np.linspace(-box_width, width, length).round().astype(np.int64)
        if rng.random() < 0.5:
            left = left[::-1]
        feet = round(0.75 * height + 1.4 * (box_height - 0.45 * height))  # lower where people are nearer
        top = feet - box_height
        _draw(pictures[first : first + length], left, top, box_height, people, who, seen, camera, rng)
        frames = np.arange(first + 1, first + length + 1)
        same = np.full((length, 1), 1)
        boxes.append(
            np.hstack([frames[:, None], track * same, left[:, None], same * (top, box_width, box_height)])
        )
    table = np.concatenate(boxes)
    order = np.lexsort((table[:, 1], table[:, 0]))
    return person, table[order]


def _draw(
    pictures: np.ndarray, left: np.ndarray, top: int, height: int, people: People, who: int, seen: Cameras,
    camera: int, rng: np.random.Generator,
) -> None:  # fmt: skip
    """One person into these pictures, in place, in boxes that begin `left` (k,)."""
    k, width = len(left), height // 2
    every = np.ones(k, dtype=np.float32)
    towards = np.pi / 2 if left[-1] > left[0] else -np.pi / 2
    figures = Figures(
        person=np.full(k, who),
        theta=(towards + rng.normal(0, 0.3) + 0.2 * np.sin(np.arange(k) / 9)).astype(np.float32),
        phase=(rng.uniform(0, 6) + 0.5 * np.arange(k)).astype(np.float32),
        x=0 * every,
        top=0.03 * every,
        scale=0.88 * people.height[who] * every,
        stretch=1.25 * every,
        tilt=seen.tilt[camera] * every,
    )
    light = rng.uniform(0.85, 1.15) * every
    colours = seen.see(people.colours[figures.person], np.full(k, camera), light)
    free = np.ones((k, height, width), dtype=np.float32)
    image = np.zeros((k, 3, height, width), dtype=np.float32)
    softness = np.hypot(seen.blur[camera], max(1 / height, 0.5 / width)) * every
    draw(figures, people, colours, softness.astype(np.float32), free, image)
    for picture, start, open_, paint in zip(pictures, left.tolist(), free, image, strict=True):
        begin, end = max(start, 0), min(start + width, picture.shape[1])
        if begin >= end:
            continue
        part = slice(begin - start, end - start)
        behind = picture[top : top + height, begin:end]
        mixed = open_[:, part, None] * behind + 255 * paint[:, :, part].transpose(1, 2, 0)
        picture[top : top + height, begin:end] = np.clip(mixed, 0, 255).astype(np.uint8)


def _main(folder: Path) -> None:
    """Videos of twenty people for docs/use.md, and what to do with them."""
    size = {"frames": 1200, "height": 240, "width": 426}
    made = walking(folder, cameras=3, people=20, visits=2, codec="mpeg4", seed=1, **size)
    truth = [f"c{one.number}/{track:04d},{who}" for one in made for track, who in one.person.items()]
    (folder / "truth.csv").write_text("\n".join(["tracklet,person", *truth]) + "\n")
    small = "--backbone shufflenet_v2_x0_5 --weights none --height 64 --width 32 --frames 4"
    small += " --first-epochs 8 --later-epochs 2 --merge-rate 0.1 --cpus-per-trial 1"
    print(f"""cd {folder}
python -m dcreid tracklets 1.mkv 2.mkv 3.mkv --tracks 1.txt 2.txt 3.txt --out cameras --every 4
python {Path("study/run.py").resolve()} --dataset folder --data-root cameras --samples 1 --name mine {small}
python -m dcreid search studies/mine/models/selected.safetensors cameras/train cameras/train --other-cameras
truth.csv says who is who""")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
