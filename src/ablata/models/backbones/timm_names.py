"""Names of timm's networks: those that it knows, and the ones most like a name that it does not; no shapes."""

from __future__ import annotations

from ablata.base.errors import SettingsError, suggestion


def refuse_unknown_network(key: str, name: str) -> None:
    """Refuse a name that timm does not know.

    Args:
        key: the setting.
        name: its value.

    Raises:
        SettingsError: names the networks that are called most like it.
    """
    # timm takes a second to import, and few recipes need it.
    import timm

    if not timm.is_model(name):
        raise SettingsError(
            f"{key} must be a network of timm",
            found=f"{key}={name}",
            do=suggestion(name, timm.list_models(), "see timm.list_models()", most=5),
        )
