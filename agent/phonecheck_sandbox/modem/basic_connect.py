"""The basic connect service (MBIM 10.5): what the modem answers to each command, from its state alone.

A handler reads the command, may change the state, and returns an information buffer or raises `Refused`. Nothing here
knows of ports or of time.
"""

from __future__ import annotations

from collections.abc import Callable

from phonecheck_sandbox.modem import sessions
from phonecheck_sandbox.modem.mbim import (
    BASIC_CONNECT,
    Cid,
    Command,
    Long,
    MalformedError,
    Refused,
    Status,
    encode,
    number,
    text,
)
from phonecheck_sandbox.modem.state import HOME_OPERATOR, ModemState, Registration

_PIN1, _PUK1 = 2, 11
_UNKNOWN_ERROR_RATE = 99


def answer(state: ModemState, command: Command) -> tuple[Status, bytes]:
    """Carry out a command: its status and information buffer."""
    handler = _HANDLERS.get(command.cid) if command.service == BASIC_CONNECT else None
    if handler is None:
        return Status.NO_DEVICE_SUPPORT, b""
    try:
        return Status.SUCCESS, handler(state, command)
    except Refused as refused:
        return refused.status, refused.information
    except MalformedError:
        return Status.INVALID_PARAMETERS, b""


def indicated(state: ModemState) -> dict[Cid, bytes]:
    """What the host is told unasked when it changes, by command."""
    buffers = {
        Cid.SUBSCRIBER_READY_STATUS: _subscriber_ready(state),
        Cid.RADIO_STATE: encode(1, state.radio.on),
        Cid.SIGNAL_STATE: _signal(state),
        Cid.CONNECT: sessions.connection(state),
    }
    if state.sim.ready:
        buffers[Cid.REGISTER_STATE] = _registration(state)
        buffers[Cid.PACKET_SERVICE] = _packet_service(state)
    return buffers


def _need_sim(state: ModemState) -> None:
    if not state.sim.inserted:
        raise Refused(Status.SIM_NOT_INSERTED)
    if state.sim.locked:
        raise Refused(Status.PIN_REQUIRED)


def _device_caps(state: ModemState, _: Command) -> bytes:
    removable, gsm, no_voice, removable_sim = 2, 1, 1, 2
    data_classes, no_sms, manual_radio, sessions = 0x3F, 0, 1, 1
    fixed = (removable, gsm, no_voice, removable_sim, data_classes, no_sms, manual_radio, sessions)
    return encode(*fixed, "", state.imei, "1.0", "Sandbox modem")


def _subscriber_ready(state: ModemState) -> bytes:
    initialized, not_inserted, locked = 1, 2, 6
    if not state.sim.inserted:
        return encode(not_inserted, "", "", 0, 0)
    if state.sim.locked:
        return encode(locked, "", state.sim.iccid, 0, 0)
    return encode(initialized, state.sim.imsi, state.sim.iccid, 0, 1, [f"+{state.sim.msisdn}"])


def _radio(state: ModemState, command: Command) -> bytes:
    if command.is_set:
        state.radio.on = bool(number(command.information, 0))
    hardware_switch_on = 1
    return encode(hardware_switch_on, state.radio.on)


def _pin_info(state: ModemState) -> bytes:
    sim = state.sim
    if sim.blocked:
        return encode(_PUK1, 1, sim.puk_tries)
    return encode(_PIN1, sim.locked, sim.pin_tries)


def _pin(state: ModemState, command: Command) -> bytes:
    sim = state.sim
    if not sim.inserted:
        raise Refused(Status.SIM_NOT_INSERTED)
    if not command.is_set:
        return _pin_info(state)
    enter, enable, disable, change = range(4)
    kind, operation = number(command.information, 0), number(command.information, 4)
    pin, new_pin = text(command.information, 8), text(command.information, 16)
    if kind == _PUK1 and operation == enter:
        accepted = sim.enter_puk(pin, new_pin)
    elif kind == _PIN1 and operation in (enter, enable, disable, change):
        accepted = sim.enter_pin(pin)
        if accepted and operation in (enable, disable):
            sim.pin_enabled = operation == enable
        elif accepted and operation == change:
            sim.pin = new_pin
    else:
        raise Refused(Status.INVALID_PARAMETERS)
    if not accepted:
        raise Refused(Status.FAILURE, _pin_info(state))
    return _pin_info(state)


def _pin_list(state: ModemState, _: Command) -> bytes:
    enabled, disabled, numeric = 1, 2, 1
    pin1 = (enabled if state.sim.pin_enabled else disabled, numeric, 4, 8)
    other_kinds = 9  # PIN2, the personalisation locks and custom: not supported, four zeroes each
    return encode(*pin1, *[0] * (4 * other_kinds))


def _home_provider(state: ModemState, _: Command) -> bytes:
    _need_sim(state)
    home = 1
    return encode(HOME_OPERATOR.code, home, HOME_OPERATOR.name, 1, state.radio.rssi, _UNKNOWN_ERROR_RATE)


def _visible_providers(state: ModemState, _: Command) -> bytes:
    visible, registered = 4, 8
    flags = visible | (registered if state.registration.served else 0)
    operator = state.radio.operator
    provider = encode(operator.code, flags, operator.name, 1, state.radio.rssi, _UNKNOWN_ERROR_RATE)
    return encode(1, [provider])


def _registration(state: ModemState) -> bytes:
    registration, automatic, gsm = state.registration, 1, 1
    plmn_not_allowed = 11  # 3GPP TS 24.008, 10.5.3.6
    cause = plmn_not_allowed if registration is Registration.DENIED else 0
    # ModemManager 1.20 takes searching and denied for idle where no data class is available.
    available = 0 if registration is Registration.IDLE else state.radio.technology
    code, name = (state.radio.operator.code, state.radio.operator.name) if registration.served else ("", "")
    return encode(cause, registration, automatic, available, gsm, code, name, "", 0)


def _register_state(state: ModemState, _: Command) -> bytes:
    _need_sim(state)
    return _registration(state)


def _packet_service(state: ModemState) -> bytes:
    attached, detached, uplink, downlink = 2, 4, Long(50_000_000), Long(150_000_000)
    if not state.registration.served:
        return encode(0, detached, 0, Long(0), Long(0))
    return encode(0, attached, state.radio.technology, uplink, downlink)


def _packet_service_command(state: ModemState, command: Command) -> bytes:
    if command.is_set and not state.registration.served:
        raise Refused(Status.NOT_REGISTERED)
    return _packet_service(state)


def _signal(state: ModemState) -> bytes:
    interval, no_threshold = 5, 0xFFFFFFFF
    return encode(state.radio.rssi, _UNKNOWN_ERROR_RATE, interval, no_threshold, no_threshold)


def _connect(state: ModemState, command: Command) -> bytes:
    if sessions.activates(command):
        _need_sim(state)
    return sessions.connect(state, command)


def _device_services(_: ModemState, __: Command) -> bytes:
    no_payload, no_instances = 0, 0
    basic_connect = encode(BASIC_CONNECT, no_payload, no_instances, len(_HANDLERS), *sorted(_HANDLERS))
    return encode(1, 0, [basic_connect])


def _subscribe_list(_: ModemState, command: Command) -> bytes:
    # The host's list is taken as it is: this modem indicates the one service it has, always.
    return command.information


_HANDLERS: dict[int, Callable[[ModemState, Command], bytes]] = {
    Cid.DEVICE_CAPS: _device_caps,
    Cid.SUBSCRIBER_READY_STATUS: lambda state, _: _subscriber_ready(state),
    Cid.RADIO_STATE: _radio,
    Cid.PIN: _pin,
    Cid.PIN_LIST: _pin_list,
    Cid.HOME_PROVIDER: _home_provider,
    Cid.VISIBLE_PROVIDERS: _visible_providers,
    Cid.REGISTER_STATE: _register_state,
    Cid.PACKET_SERVICE: _packet_service_command,
    Cid.SIGNAL_STATE: lambda state, _: _signal(state),
    Cid.CONNECT: _connect,
    Cid.PROVISIONED_CONTEXTS: lambda _, __: encode(0),
    Cid.IP_CONFIGURATION: lambda state, _: sessions.ip_configuration(state),
    Cid.DEVICE_SERVICES: _device_services,
    Cid.DEVICE_SERVICE_SUBSCRIBE_LIST: _subscribe_list,
}
