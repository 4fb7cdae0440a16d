"""The operations on one PIL image; PIL's own, so that recipes trained with it are met to the bit."""

from __future__ import annotations

from PIL import Image, ImageEnhance, ImageOps

from ablata.data.transforms.auto_augment_ops import SOLARIZE_ADD_BELOW, Name, cutout_box, inverse_affine


def apply_to_image(
    image: Image.Image, name: Name, argument: float, place: tuple[float, float], fill: int
) -> Image.Image:
    """Return an RGB image changed by one operation.

    Args:
        image: RGB.
        name: the operation.
        argument: what `operations` calls the argument of this operation.
        place: for `cutout`, in [0, 1): down and across.
        fill: value of all channels, 0..255, of what comes into view from outside and of `cutout`.
    """
    match name:
        case "auto_contrast":
            return ImageOps.autocontrast(image)
        case "equalize":
            return ImageOps.equalize(image)
        case "invert":
            return ImageOps.invert(image)
        case "posterize":
            mask = 256 - 2 ** (8 - min(8, int(argument)))  # PIL itself refuses to keep no bit
            return image.point([value & mask for value in range(256)] * 3)
        case "solarize":
            return ImageOps.solarize(image, int(argument))
        case "solarize_add":
            table = [min(255, value + int(argument)) for value in range(SOLARIZE_ADD_BELOW)]
            return image.point((table + list(range(SOLARIZE_ADD_BELOW, 256))) * 3)
        case "color":
            return ImageEnhance.Color(image).enhance(argument)
        case "contrast":
            return ImageEnhance.Contrast(image).enhance(argument)
        case "brightness":
            return ImageEnhance.Brightness(image).enhance(argument)
        case "sharpness":
            return ImageEnhance.Sharpness(image).enhance(argument)
        case "cutout":
            top, left, bottom, right = cutout_box(argument, place, image.height, image.width)
            covered = image.copy()
            covered.paste((fill, fill, fill), (left, top, right, bottom))
            return covered
        case _:
            matrix = inverse_affine(name, argument, image.height, image.width).ravel().tolist()
            return image.transform(
                image.size,
                Image.Transform.AFFINE,
                matrix,
                resample=Image.Resampling.BILINEAR,
                fillcolor=(fill, fill, fill),
            )
