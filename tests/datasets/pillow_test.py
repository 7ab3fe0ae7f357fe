#!/usr/bin/env python3
"""Decoders and preprocessings against Pillow, whose convert("RGB") and resize are those of torchvision and timm.

`--probe` names the program of image_probe.cpp.
"""
import argparse
import io
import json
import math
import random
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

import peer_python

try:
    import PIL
    from PIL import Image
except ImportError:
    pass  # peer_python looks for a Python that has it

options = None


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, samples, extra=b"", interlace=0):
    """A PNG of `samples` values a pixel, random bits."""
    bits = width * depth * samples
    rows = b"".join(b"\0" + random.randbytes((bits + 7) // 8) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def without_app14(data):
    """A JPEG without Adobe's marker."""
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]:]


def picture(width, height):
    """Smooth shapes and noise, so that resizing has something to do."""
    image = Image.new("RGB", (width, height))
    image.putdata([(int(127 + 120 * math.sin(x / 7) * math.cos(y / 11)), (x * 5 + y * 3) % 256, random.randrange(256))
                   for y in range(height) for x in range(width)])
    return image


def encoded(image, form, **settings):
    buffer = io.BytesIO()
    image.save(buffer, form, **settings)
    return buffer.getvalue()


class PillowTest(unittest.TestCase):
    def setUp(self):
        random.seed(7)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def probe(self, data, preprocess=None, alpha="drop", grey16="clip"):
        path = Path(self.folder.name) / "image"
        path.write_bytes(data)
        done = subprocess.run([options.probe, json.dumps(preprocess), alpha, grey16, str(path)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        height, width, values = done.stdout.split()
        return int(width), int(height), bytes.fromhex(values)

    def assert_equal(self, data, most=0):
        """Equal to Pillow's convert("RGB"), up to `most` steps of 255."""
        wanted = Image.open(io.BytesIO(data)).convert("RGB")
        width, height, values = self.probe(data)
        self.assertEqual((width, height), wanted.size)
        self.assertLessEqual(max(abs(a - b) for a, b in zip(values, wanted.tobytes())), most)

    def test_png_of_every_kind(self):
        palette = chunk(b"PLTE", random.randbytes(3 * 256))
        for name, data in {
            "grey 1": png(13, 5, 1, 0, 1), "grey 2": png(13, 5, 2, 0, 1), "grey 4": png(13, 5, 4, 0, 1), "grey 8": png(13, 5, 8, 0, 1),
            "grey 16": png(13, 5, 16, 0, 1), "rgb 8": png(13, 5, 8, 2, 3), "rgb 16": png(13, 5, 16, 2, 3),
            "grey alpha 8": png(13, 5, 8, 4, 2), "grey alpha 16": png(13, 5, 16, 4, 2),
            "rgb alpha 8": png(13, 5, 8, 6, 4), "rgb alpha 16": png(13, 5, 16, 6, 4),
            "palette 8": png(13, 5, 8, 3, 1, palette), "palette 4": png(13, 5, 4, 3, 1, chunk(b"PLTE", random.randbytes(48))),
            "palette tRNS": png(13, 5, 8, 3, 1, palette + chunk(b"tRNS", random.randbytes(256))),
            "grey tRNS": png(13, 5, 8, 0, 1, chunk(b"tRNS", struct.pack(">H", 7))),
            "grey 16 tRNS": png(13, 5, 16, 0, 1, chunk(b"tRNS", struct.pack(">H", 7))),
            "rgb tRNS": png(13, 5, 8, 2, 3, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))),
            "gamma": png(13, 5, 8, 2, 3, chunk(b"gAMA", struct.pack(">I", 100000))),
        }.items():
            with self.subTest(name):
                self.assert_equal(data)

    def test_jpeg_of_every_kind(self):
        colours = picture(40, 24)
        cmyk = encoded(Image.frombytes("CMYK", (40, 24), random.randbytes(40 * 24 * 4)), "JPEG", quality=95)
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by 90 degrees
        for name, data in {
            "rgb": encoded(colours, "JPEG", quality=95, subsampling=0), "rgb 4:2:0": encoded(colours, "JPEG", quality=80),
            "progressive": encoded(colours, "JPEG", quality=80, progressive=True), "grey": encoded(colours.convert("L"), "JPEG"),
            "exif": encoded(colours, "JPEG", exif=exif),
            "cmyk": cmyk, "cmyk without APP14": without_app14(cmyk),
        }.items():
            with self.subTest(name):
                # Pillow brings a libjpeg of its own, whose inverse DCT may round otherwise.
                self.assert_equal(data, most=2)

    def test_cmyk_without_adobe_s_marker_is_the_same_picture(self):
        data = encoded(Image.frombytes("CMYK", (16, 16), random.randbytes(1024)), "JPEG", quality=95)
        self.assertEqual(self.probe(data), self.probe(without_app14(data)))

    def test_white_shows_alpha_as_pillow_composes_it(self):
        data = png(13, 5, 8, 6, 4)
        over = Image.open(io.BytesIO(data))
        wanted = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB").tobytes()
        self.assertLessEqual(max(abs(a - b) for a, b in zip(self.probe(data, alpha="white")[2], wanted)), 1)

    def test_the_upper_byte_of_16_bit_grey(self):
        data = png(13, 5, 16, 0, 1)
        wanted = [value >> 8 for value in Image.open(io.BytesIO(data)).getdata()]
        self.assertEqual(list(self.probe(data, grey16="high")[2][::3]), wanted)

    def timm(self, image, size, crop_pct, interpolation, crop_mode):
        """transforms_imagenet_eval of timm 1.0 with torchvision's Resize and CenterCrop.

        Rows come first, as in every Pillow before 13, which begins with the columns of images that lose much more
        height than width; with the ratio kept there are none.
        """
        resample = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
        scale = math.floor(size / crop_pct)
        width, height = image.size
        if crop_mode == "squash":
            image = image.resize((scale, image.height), resample).resize((scale, scale), resample)
        else:
            short, long = min(width, height), max(width, height)
            other = int(scale * long / short)
            image = image.resize((scale, other) if width <= height else (other, scale), resample)
        width, height = image.size
        top, left = int(round((height - size) / 2.0)), int(round((width - size) / 2.0))
        return image.crop((left, top, left + size, top + size))

    def test_timm_s_resize_and_crop(self):
        for width, height in ((97, 64), (64, 97), (70, 70), (50, 51), (211, 90)):
            image = picture(width, height)
            data = encoded(image, "PNG")
            for size, crop_pct, interpolation, crop_mode in ((48, 0.9, "bicubic", "center"), (48, 0.875, "bilinear", "center"),
                                                             (33, 1.0, "bicubic", "center"), (48, 0.95, "bicubic", "squash")):
                with self.subTest(f"{width} x {height} {size} {crop_pct} {interpolation} {crop_mode}"):
                    rule = {"name": "timm", "size": size, "crop_pct": crop_pct, "interpolation": interpolation, "crop_mode": crop_mode}
                    got = self.probe(data, rule)
                    self.assertEqual(got[:2], (size, size))
                    wanted = self.timm(image, size, crop_pct, interpolation, crop_mode).tobytes()
                    self.assertEqual(got[2], wanted)


def check():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--probe", required=True)
    options, rest = parser.parse_known_args()
    print("Pillow", PIL.__version__)
    return 0 if unittest.main(argv=sys.argv[:1] + rest, exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(peer_python.main("PIL", check))
