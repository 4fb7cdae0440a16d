"""Images of every type become the right 8-bit RGB, and crops equal torchvision's."""

from __future__ import annotations

import io
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as reference

from ablata.base.errors import DataError
from ablata.data.io import decode
from ablata.data.io.bit_depth import refuse_dark
from ablata.data.io.crop import (
    Backend,
    backend_name,
    crop,
    draw_random_resized_crop,
    resize,
    resize_and_center_crop,
    shrink_factor,
    torch_resize,
)
from ablata.data.io.decode import Decoder, ImageRules, decode_array, decode_rgb, open_image, to_rgb, upright_size

DECODERS = get_args(Decoder)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _decoded(content: bytes) -> np.ndarray:
    return np.asarray(to_rgb(open_image(content, "it.png"), "it.png"))


def _smooth(height: int = 40, width: int = 56) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_grey_becomes_three_equal_channels() -> None:
    grey = _smooth().convert("L")
    assert np.array_equal(_decoded(_encoded(grey, "PNG")), np.repeat(np.asarray(grey)[:, :, None], 3, axis=2))


def test_sixteen_bits_are_scaled_to_eight() -> None:
    values = np.linspace(0, 65535, 16 * 16).reshape(16, 16).astype(np.uint16)
    expected = np.rint(values / 257)
    assert np.abs(_decoded(_encoded(Image.fromarray(values), "PNG"))[:, :, 0] - expected).max() <= 0.5


def test_a_palette_shows_its_colors() -> None:
    palette = _smooth().quantize(16)
    assert np.array_equal(_decoded(_encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("transparent", ["alpha", "palette"])
def test_transparent_pixels_show_white(transparent: str) -> None:
    if transparent == "alpha":
        image = Image.new("RGBA", (4, 2), (200, 10, 10, 255))
        image.putpixel((0, 0), (0, 0, 0, 0))
        content = _encoded(image, "PNG")
    else:
        image = Image.new("P", (4, 2), 1)
        image.putpalette([0, 0, 0, 200, 10, 10])
        image.putpixel((0, 0), 0)
        content = _encoded(image, "PNG", transparency=b"\x00\xff")
    pixels = _decoded(content)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [200, 10, 10]


def test_cmyk_becomes_its_colors() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(_decoded(_encoded(image, "JPEG", quality=95)).astype(int) - [255, 0, 0]).max() <= 6


def test_the_camera_orientation_is_applied() -> None:
    for kind in ("JPEG", "PNG"):
        for orientation in range(1, 9):
            upright = _smooth()
            turns = [None, None, 0, 3, 1, 5, 4, 6, 2]
            inverse = {0: 0, 3: 3, 1: 1, 5: 5, 4: 2, 6: 6, 2: 4}
            turn = turns[orientation]
            stored = upright if turn is None else upright.transpose(Image.Transpose(inverse[turn]))
            exif = Image.Exif()
            exif[0x0112] = orientation
            content = _encoded(stored, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
            header = open_image(content, "it")
            assert upright_size(header) == (40, 56)
            pixels = decode_array(content, header, "it")
            assert pixels.shape == (40, 56, 3)
            assert np.abs(pixels.astype(int) - np.asarray(upright)).mean() < (3 if kind == "JPEG" else 1e-9)


def test_floating_point_pixels_are_refused() -> None:
    image = Image.fromarray(np.zeros((4, 4), np.float32))
    with pytest.raises(DataError, match=r"it\.png: floating point"):
        _decoded(_encoded(image, "TIFF"))


def test_an_undecodable_file_is_named() -> None:
    for kind in ("JPEG", "PNG"):
        for damage in ("no image", "cut short", "empty"):
            for decoder in DECODERS:
                whole = _encoded(_smooth(200, 300), kind)
                content = {"no image": b"hello" * 50, "cut short": whole[: len(whole) // 2], "empty": b""}[damage]
                with pytest.raises(DataError, match=r"folder/it\.jpg"):
                    decode_array(content, open_image(content, "folder/it.jpg"), "folder/it.jpg", decoder=decoder)


def test_jpegs_decode_alike_on_every_way() -> None:
    for progressive in (False, True):
        for mode in ("RGB", "L", "CMYK"):
            for decoder in DECODERS:
                for subsampling in (0, 1, 2) if mode == "RGB" else (-1,):
                    content = _encoded(
                        _smooth(123, 77).convert(mode),
                        "JPEG",
                        quality=85,
                        subsampling=subsampling,
                        progressive=progressive,
                    )
                    pixels = decode_array(content, open_image(content, "it"), "it", decoder=decoder)
                    assert np.array_equal(pixels, _decoded(content))


def test_what_is_no_jpeg_decodes_alike_on_every_way() -> None:
    for kind in ("grey", "alpha", "sixteen bits", "palette"):
        for decoder in DECODERS:
            image = {
                "grey": _smooth().convert("L"),
                "alpha": _smooth().convert("RGBA"),
                "sixteen bits": Image.fromarray(np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)),
                "palette": _smooth().quantize(16),
            }[kind]
            content = _encoded(image, "PNG")
            pixels = decode_array(content, open_image(content, "it"), "it", decoder=decoder)
            assert np.array_equal(pixels, _decoded(content))


def test_an_ignored_orientation_leaves_the_pixels_as_they_are_stored() -> None:
    for orientation in (1, 3, 6):
        for decoder in DECODERS:
            exif = Image.Exif()
            exif[0x0112] = orientation
            content = _encoded(_smooth(), "JPEG", quality=95, exif=exif)
            header = open_image(content, "it")
            assert upright_size(header, "ignored") == (40, 56)
            pixels = decode_array(content, header, "it", decoder=decoder, rules=ImageRules("ignored"))
            assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(content))))


def test_the_name_of_a_backend_tells_every_choice_apart() -> None:
    names = [
        backend_name(backend, interpolation, reduced, decoder=decoder, orientation=orientation, prepared=prepared)
        for backend in ("torch", "pil", "opencv")
        for interpolation in ("bilinear", "bicubic", "nearest")
        for reduced in (False, True)
        for decoder in DECODERS
        for orientation in ("applied", "ignored")
        for prepared in (None, 256)
    ]
    assert len(set(names)) == len(names) == 144
    assert "nearest no-antialias" in backend_name("torch", "nearest")
    assert "decoded" not in backend_name("pil", "bilinear", decoder="pil")


def test_pil_crops_equal_torchvision_and_torch_is_within_two_levels() -> None:
    for size in (24, 70):
        for interpolation in ("bilinear", "bicubic"):
            image, box = _smooth(120, 90), (11, 7, 71, 87)
            mode = InterpolationMode(interpolation)
            expected = np.asarray(reference.resized_crop(image, 7, 11, 80, 60, [size, size], mode)).astype(int)
            assert np.array_equal(resize(crop(image, box), (size, size), "pil", interpolation), expected)
            arrays = resize(crop(np.asarray(image), box), (size, size), "torch", interpolation)
            assert np.abs(arrays - expected).max() <= 2
            assert np.abs(arrays - expected).mean() < 0.1


def test_nearest_takes_pils_pixels_on_every_way() -> None:
    for size in ((24, 31), (70, 150), (120, 90), (33, 77), (1, 259)):
        for backend in ("torch", "opencv"):
            image = np.asarray(_smooth(120, 90))
            expected = resize(image, size, "pil", "nearest")
            assert np.array_equal(resize(image, size, backend, "nearest"), expected)


def test_an_image_that_grows_is_one_grey_level_off_pils_at_most() -> None:
    for size in ((40, 50), (41, 53), (80, 100), (224, 224), (40, 224)):
        noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        expected = resize(noise, size, "pil", "bilinear").astype(int)
        assert np.abs(resize(noise, size, "torch", "bilinear") - expected).max() <= 1


def test_torch_resizes_a_batch_as_it_does_each_image() -> None:
    images = torch.from_numpy(np.asarray(_smooth(30, 20)).copy()).permute(2, 0, 1)[None]
    for interpolation in ("bilinear", "bicubic", "nearest"):
        batch = torch_resize(torch.cat([images, images.flip(3)]), (12, 17), interpolation)
        alone = resize(np.asarray(_smooth(30, 20)), (12, 17), "torch", interpolation)
        assert np.array_equal(batch[0].permute(1, 2, 0).numpy(), alone)


def test_the_evaluation_crop_equals_torchvision() -> None:
    for shape in ((120, 90), (90, 121), (64, 64)):
        image = _smooth(*shape)
        expected = np.asarray(reference.center_crop(reference.resize(image, [48]), [40])).astype(int)
        assert np.array_equal(resize_and_center_crop(image, 48, 40, "pil", "bilinear"), expected)
        assert np.abs(resize_and_center_crop(np.asarray(image), 48, 40, "torch", "bilinear") - expected).max() <= 1


def test_opencv_does_not_filter_when_it_shrinks() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    spread: dict[Backend, float] = {
        backend: float(resize(stripes, (20, 20), backend, "bilinear").std()) for backend in ("torch", "opencv")
    }
    assert spread["torch"] < 0.2 * spread["opencv"]


def test_random_boxes_are_distributed_as_torchvisions() -> None:
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    image = torch.zeros(3, 60, 100)
    ours = np.array([draw_random_resized_crop(random, (60, 100), (0.08, 1.0), (0.75, 4 / 3)) for _ in range(4000)])
    theirs = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [0.75, 4 / 3]) for _ in range(4000)])
    left, top, right, bottom = ours.T
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= 100
    assert bottom.max() <= 60
    columns = np.stack([top, left, bottom - top, right - left], axis=1)
    assert np.allclose(columns.mean(axis=0), theirs.mean(axis=0), atol=1.2)
    assert np.allclose(columns.std(axis=0), theirs.std(axis=0), atol=1.0)


def test_a_box_that_never_fits_becomes_the_largest_central_one() -> None:
    assert draw_random_resized_crop(np.random.default_rng(0), (10, 100), (0.9, 1.0), (0.75, 4 / 3)) == (43, 0, 56, 10)


def test_a_jpeg_shrinks_only_while_the_crop_keeps_enough_pixels() -> None:
    for side, factor in ((10, 1), (31, 1), (32, 2), (63, 2), (64, 4), (128, 8), (1000, 8)):
        assert shrink_factor((0, 0, side, 2 * side), 16) == factor


def test_a_shrunk_jpeg_is_the_same_image() -> None:
    for shrink in (1, 2, 4, 8):
        image = _smooth(128, 96)
        content = _encoded(image, "JPEG", quality=95)
        small = decode_array(content, open_image(content, "it"), "it", shrink)
        high, wide = 128 // shrink, 96 // shrink
        assert small.shape == (high, wide, 3)
        assert np.abs(small.astype(int) - np.asarray(image.resize((wide, high), Image.Resampling.BOX))).mean() < 3


def test_a_part_of_an_image_is_resized_like_a_copy_of_it() -> None:
    for backend in ("torch", "pil", "opencv"):
        whole = np.asarray(_smooth())
        whole.flags.writeable = False
        part = whole[3:33, 10:50]
        assert np.array_equal(
            resize(part, (24, 24), backend, "bilinear"), resize(part.copy(), (24, 24), backend, "bilinear")
        )


def _tagged(image: Image.Image, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _encoded(image, kind, exif=exif)


def test_a_tiff_is_turned_once_or_not_at_all() -> None:
    image = _smooth()
    for orientation in range(1, 9):
        content = _tagged(image, "TIFF", orientation)
        for rules in (ImageRules(), ImageRules("ignored")):
            header = open_image(content, "it")
            size = upright_size(header, rules.orientation)
            pixels = np.asarray(to_rgb(header, "it", rules))
            png = open_image(_tagged(image, "PNG", orientation), "it")
            assert np.array_equal(pixels, np.asarray(to_rgb(png, "it", rules)))
            assert pixels.shape[:2] == size


def test_the_note_of_a_png_counts_behind_its_pixels_too() -> None:
    content = _tagged(_smooth(), "PNG", 6)
    at = content.index(b"eXIf") - 4
    size = 12 + int.from_bytes(content[at : at + 4], "big")
    chunk, rest = content[at : at + size], content[:at] + content[at + size :]
    end = rest.index(b"IEND") - 4
    moved = rest[:end] + chunk + rest[end:]
    header = open_image(moved, "it")
    assert upright_size(header) == (56, 40)
    assert np.array_equal(_decoded(moved), _decoded(content))


def test_bits_that_count_in_sixteen_make_black_and_white() -> None:
    ramp = np.linspace(0, 4095, 16 * 24).reshape(16, 24).astype(np.uint16)
    expected = np.rint(ramp / 4095 * 255).astype(np.uint8)
    rules = ImageRules(bits=12)
    for kind in ("PNG", "TIFF"):
        grey = np.asarray(to_rgb(open_image(_encoded(Image.fromarray(ramp), kind), "it"), "it", rules))
        assert np.array_equal(grey[..., 1], expected)
    deep = np.dstack([ramp, ramp[::-1], ramp[:, ::-1]])
    for suffix in (".png", ".tiff"):
        content = cv2.imencode(suffix, deep[..., ::-1])[1].tobytes()
        pixels = np.asarray(to_rgb(open_image(content, "it"), "it", rules))
        assert np.array_equal(pixels, np.dstack([expected, expected[::-1], expected[:, ::-1]]))
        # Without the rule the upper eight bits count, and the set is refused for being dark.
        _, facts = decode_rgb(open_image(content, "it"), "it")
        assert 4095 <= facts.highest < 1 << 13
        with pytest.raises(DataError, match=r"data\.bits=12 \(0 to 4,095"):
            refuse_dark([facts.highest], says_depth=False)
        refuse_dark([facts.highest, 1 << 14], says_depth=False)
        refuse_dark([facts.highest], says_depth=ImageRules(bits=16).says_depth)
    with pytest.raises(DataError, match=r"values 0 to 4095 are not 10-bit \(data\.bits=10\)"):
        to_rgb(open_image(_encoded(Image.fromarray(ramp), "PNG"), "it"), "it", ImageRules(bits=10))


def test_a_fourth_band_of_a_tiff_is_chosen_and_never_guessed() -> None:
    random = np.random.default_rng(0)
    bands = random.integers(0, 255, (6, 8, 4), dtype=np.uint8)
    content = _encoded(Image.fromarray(bands), "TIFF")
    with pytest.raises(DataError, match=r"it: 4 bands[^\n]*\n.*data\.bands=\[0,1,2\]"):
        _rgb(content)
    assert np.array_equal(_rgb(content, bands=(0, 1, 2)), bands[..., :3])
    assert np.array_equal(_rgb(content, bands=(3, 0, 1)), bands[..., [3, 0, 1]])
    with pytest.raises(DataError, match=r"data\.bands=\[0, 1, 4\] of 4 bands"):
        _rgb(content, bands=(0, 1, 4))
    opaque = np.dstack([bands[..., :3], np.full((6, 8), 255, np.uint8)])
    assert np.array_equal(_rgb(_encoded(Image.fromarray(opaque), "TIFF")), bands[..., :3])
    deep = bands.astype(np.uint16) * 16
    content = cv2.imencode(".tiff", deep[..., [2, 1, 0, 3]])[1].tobytes()
    expected = np.rint(deep[..., [3, 1, 0]] / 4095 * 255)
    assert np.abs(_rgb(content, bands=(3, 1, 0), bits=12) - expected).max() <= 0.5


def _rgb(content: bytes, **rules: Any) -> np.ndarray:
    return np.asarray(to_rgb(open_image(content, "it"), "it", ImageRules(**rules)))


def test_a_stack_of_pages_is_refused_and_overviews_are_no_pages() -> None:
    first, second = _smooth(), _smooth().rotate(180)
    for kind in ("TIFF", "PNG", "GIF"):
        content = _encoded(first, kind, save_all=True, append_images=[second])
        with pytest.raises(DataError, match="it: 2 pages"):
            _rgb(content)
    stream = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(stream, new=True) as writer:
        first.save(writer, "TIFF")
        writer.newFrame()
        first.resize((28, 20)).save(writer, "TIFF", tiffinfo={254: 1})
        writer.newFrame()
    assert np.array_equal(_rgb(stream.getvalue()), np.asarray(first))


def test_images_beyond_the_limit_need_a_setting_and_pil_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _encoded(_smooth(), "PNG")
    monkeypatch.setattr(decode, "QUIET_PIXELS", 500)
    before = Image.MAX_IMAGE_PIXELS
    for limit in (2239, 1500, 501, 1):
        with pytest.raises(
            DataError, match=rf"it: 2,240 pixels, limit {limit:,} \(data\.max_pixels\)\n.*max_pixels=2240"
        ):
            open_image(content, "it", limit)
    image = open_image(content, "it", 2240)
    assert np.array_equal(np.asarray(to_rgb(image, "it", ImageRules(max_pixels=2240))), np.asarray(_smooth()))
    assert np.array_equal(np.asarray(crop(_smooth(), (0, 0, 56, 40))), np.asarray(_smooth()))
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_large_image_is_handed_over_in_parts_and_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.asarray(_smooth())
    for pixels in (56, 100, 40 * 56 - 1):
        monkeypatch.setattr(decode, "_AT_ONCE", pixels)
        image = open_image(_encoded(_smooth(), "PNG"), "it")
        assert np.array_equal(decode.decode_bands(image, "it")[0], whole)


def test_a_tiff_that_pil_does_not_know_is_told_from_other_files() -> None:
    bands = b"II*\0\x08\0\0\0\x02\0" + b"".join(
        tag.to_bytes(2, "little") + b"\x03\0\x01\0\0\0" + value.to_bytes(4, "little")
        for tag, value in ((258, 64), (277, 7))
    )
    for content, said in (
        (bands + bytes(4), "a TIFF of bits or colours"),
        (b"", "an empty file"),
        (b"GIF", "known type"),
    ):
        with pytest.raises(DataError, match=f"it: .*{said}"):
            open_image(content, "it")
