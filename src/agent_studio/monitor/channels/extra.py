"""The services that Apprise knows, more than a hundred of them: `pip install 'agent-studio[apprise]'`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agent_studio.monitor.channels import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_studio.environment.roots import EnvironmentRoot
    from agent_studio.monitor.channels import Batch
    from agent_studio.monitor.destinations import Destination


def send(root: EnvironmentRoot, where: Destination, batch: Batch, variables: Mapping[str, str]) -> None:  # noqa: ARG001 - one signature for all
    """Send the steps to the service that the address names."""
    try:
        apprise = import_module("apprise")
    except ImportError:
        raise DeliveryError("Apprise is not installed: pip install 'agent-studio[apprise]'") from None
    service = apprise.Apprise()
    if not service.add(where.address(variables)):
        raise DeliveryError("Apprise does not know this kind of address")
    try:
        was_taken = service.notify(title=batch.title, body=batch.text)
    except Exception as error:  # noqa: BLE001 - the code of a hundred services
        raise DeliveryError(f"the service failed: {type(error).__name__}: {error}") from None
    if not was_taken:
        raise DeliveryError("the service did not take it")
