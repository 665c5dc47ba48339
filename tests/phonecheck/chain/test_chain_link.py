"""What a chain makes of its link: lost in the middle, two families, an address that changes."""

from __future__ import annotations

import socket
import threading
from ipaddress import IPv4Address, IPv6Address

import pytest

from phonecheck.chain.ending import error_of_word
from phonecheck.errors import AgentError, LinkError
from phonecheck.model import Path
from scripted_web import ENRICH, MNO, PLATFORM, Opener, Reply, Seen, Web, answer, redirect

CHECK_URL = f"https://{PLATFORM}/redirect"
FOUR, SIX = IPv4Address("203.0.113.9"), IPv6Address("2001:db8::1")
PULLED = LinkError("interface-gone", "The modem was pulled.")


def failure(opener: Opener, url: str = CHECK_URL, **kwargs: object) -> AgentError:
    with pytest.raises(AgentError) as caught:
        opener(url, **kwargs)  # type: ignore[arg-type]
    return caught.value


def pulled_by(opener: Opener, threads: list[threading.Thread]) -> None:
    threads.append(threading.Timer(0.05, opener.lose, [PULLED]))
    threads[-1].start()


@pytest.mark.parametrize("moment", ["answer", "body", "handshake", "redirect's body"])
def test_a_link_that_goes_ends_the_chain_now_and_says_what_happened(web: Web, opener: Opener, moment: str) -> None:
    ended, threads = threading.Event(), list[threading.Thread]()

    def hang(seen: Seen) -> Reply:
        pulled_by(opener, threads)
        if moment == "redirect's body":
            return redirect("/b").replace(b"Content-Length: 0", b"Content-Length: 9")
        if moment == "body":
            return answer(200, b"x").replace(b"Content-Length: 1", b"Content-Length: 9")
        ended.wait(10)
        return None

    web.handler = hang
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if moment == "handshake":
            pulled_by(opener, threads)
            opener.dial = lambda port, seconds: socket.create_connection(silent.getsockname())
        error = failure(opener, hop_timeout=30, seconds=30)
    ended.set()
    threads[0].join()
    assert (error.code, error.message) == ("interface-gone", PULLED.message)
    # The hop that it struck is evidence all the same.
    assert len(opener.hops) == 1


def test_a_link_that_went_between_two_hops(web: Web, opener: Opener) -> None:
    def hosts(seen: Seen) -> Reply:
        if seen.host == PLATFORM:
            opener.lost = PULLED
            return redirect(f"https://{MNO}/")
        return answer(200)

    web.handler = hosts
    assert failure(opener).message == PULLED.message
    assert [seen.host for seen in web.requests] == [PLATFORM]


def test_the_first_connection_pins_the_family_for_the_chain(web: Web, opener: Opener) -> None:
    opener.addresses = {PLATFORM: (SIX, FOUR), MNO: (SIX, FOUR), ENRICH: (SIX,)}
    opener.unanswered = {6}
    web.handler = lambda seen: {
        PLATFORM: redirect(f"https://{MNO}/"),
        MNO: answer(200),
    }[seen.host]
    opener(CHECK_URL)
    assert [hop.path.family for hop in opener.hops if hop.path] == [4, 4]
    # Both race where nothing is known; the pinned one goes alone where both would do.
    assert opener.connects == [(SIX, FOUR), (FOUR,)]


def test_a_host_that_the_pinned_family_does_not_reach_is_reached_by_the_other(web: Web, opener: Opener) -> None:
    opener.addresses = {PLATFORM: (FOUR,), MNO: (SIX, FOUR), ENRICH: (SIX,)}

    def hosts(seen: Seen) -> Reply:
        if seen.host == PLATFORM:
            opener.unanswered = {4}
            return redirect(f"https://{MNO}/")
        return redirect(f"http://{ENRICH}/") if seen.host == MNO else answer(200)

    web.handler = hosts
    opener(CHECK_URL)
    assert [hop.path.family for hop in opener.hops if hop.path] == [4, 6, 6]
    assert opener.connects == [(FOUR,), (FOUR,), (SIX,), (SIX,)]


def test_nobody_answers_in_either_family(web: Web, opener: Opener) -> None:
    opener.addresses = {PLATFORM: (SIX, FOUR)}
    opener.unanswered = {4, 6}
    error = failure(opener)
    assert (error.code, error.exit_status) == ("hop-timeout", 6)
    assert opener.hops[0].timings.connect is not None


@pytest.mark.parametrize("by", ["body", "query"])
def test_an_ip_mismatch_names_the_addresses_of_the_hops(web: Web, opener: Opener, by: str) -> None:
    opener.addresses = {PLATFORM: (FOUR,), MNO: (SIX,), ENRICH: (SIX,)}
    own = "https://app.customer.example/done"

    def hosts(seen: Seen) -> Reply:
        if seen.host == PLATFORM:
            return redirect(f"https://{MNO}/")
        if by == "query":
            return redirect(f"{own}?error=ip_mismatch")
        return answer(200, b'{"error":"ip_mismatch"}', "Content-Type: application/json")

    web.handler = hosts
    error = failure(opener, redirect_url=own)
    assert error.code == "platform-error"
    assert "10.64.0.2 (IPv4) and 2001:db8:64::2 (IPv6)" in error.message
    assert "link.family" in error.hint


@pytest.mark.parametrize(
    ("sources", "words", "cure"),
    [
        (["10.64.0.2", "10.64.0.2"], "every hop left from 10.64.0.2 (IPv4)", "phone_ip"),
        (["10.64.0.2", "10.64.0.6"], "10.64.0.2 (IPv4) and 10.64.0.6 (IPv4)", "does not change"),
        ([], "every hop left from one address", "phone_ip"),
    ],
)
def test_an_ip_mismatch_of_one_family(sources: list[str], words: str, cure: str) -> None:
    error = error_of_word("ip_mismatch", [Path("wwan0", IPv4Address(source), FOUR, 443) for source in sources])
    assert words in error.message
    assert cure in error.hint
