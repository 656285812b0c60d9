"""The HTTPS server that simulators stand on: real TLS, keep-alive, and the faults that routers show."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import threading

import pytest

from fleet.testing.https import HttpFaults, HttpReply, HttpRequest, HttpsServer, json_reply, self_signed


def echo(request: HttpRequest) -> HttpReply:
    return json_reply({"method": request.method, "path": request.path, "query": request.query, "sent": request.body.decode()})


def client(server: HttpsServer, timeout: float = 5) -> http.client.HTTPSConnection:
    """A client that looks at no certificate: what is tested here is the server."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(server.host, server.port, timeout=timeout, context=context)


def get(server: HttpsServer, path: str = "/", timeout: float = 5) -> tuple[int, bytes]:
    connection = client(server, timeout)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_a_handler_sees_method_path_query_headers_and_body():
    with HttpsServer(echo) as server:
        connection = client(server)
        connection.request("POST", "/api/x%20y?a=1&b=%26&c=", b"hello", {"X-Key": "k"})
        connection.getresponse().read()
        connection.close()
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.body) == ("POST", "/api/x%20y", b"hello")
    assert seen.query == (("a", "1"), ("b", "&"), ("c", ""))
    assert (seen.header("x-KEY"), seen.argument("b"), seen.argument("none")) == ("k", "&", "")


def test_many_requests_go_over_one_connection():
    with HttpsServer(echo) as server:
        connection = client(server)
        for _ in range(3):
            connection.request("GET", "/")
            connection.getresponse().read()
        connection.close()
        assert (server.connections, server.handshakes, server.requests) == (1, 1, 3)
    assert [request.connection for request in server.seen] == [1, 1, 1]


def test_connections_are_served_side_by_side():
    both = threading.Barrier(2, timeout=5)

    def meeting(request: HttpRequest) -> HttpReply:
        both.wait()
        return json_reply({})

    with HttpsServer(meeting) as server:
        other = threading.Thread(target=get, args=(server,))
        other.start()
        assert get(server)[0] == 200
        other.join(5)


def test_the_fingerprint_is_that_of_the_certificate_shown():
    with HttpsServer(echo) as server:
        shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((server.host, server.port)))
        assert hashlib.sha256(shown).hexdigest() == server.fingerprint


def test_a_changed_certificate_is_shown_to_the_next_connection():
    with HttpsServer(echo) as server:
        before = server.fingerprint
        server.certificate = self_signed("new")
        shown = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((server.host, server.port)))
        assert hashlib.sha256(shown).hexdigest() == server.fingerprint != before


def test_a_handler_that_raises_is_an_internal_error():
    def broken(request: HttpRequest) -> HttpReply:
        raise KeyError("a bug")

    with HttpsServer(broken) as server:
        status, body = get(server)
    assert status == 500
    assert b"a bug" in body


def test_the_port_is_kept_over_a_pause_and_open_connections_are_lost():
    with HttpsServer(echo) as server:
        connection = client(server)
        connection.request("GET", "/")
        connection.getresponse().read()
        port = server.port
        server.pause()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, port), timeout=5)
        assert server.open_connections == 0
        connection.close()
        server.resume()
        assert server.port == port
        assert get(server)[0] == 200


def test_plain_http_can_be_spoken():
    with HttpsServer(echo, plain=True) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().read()
        connection.close()


# --- faults


def test_a_connection_can_be_dropped_at_once():
    with HttpsServer(echo, faults=HttpFaults(drop_at_connect=True)) as server, pytest.raises((ssl.SSLError, ConnectionError)):
        get(server)


def test_a_port_can_open_and_say_nothing():
    with HttpsServer(echo, faults=HttpFaults(no_tls=True)) as server, pytest.raises(TimeoutError):
        get(server, timeout=0.2)


def test_a_reset_before_the_handler_leaves_nothing_done():
    done: list[str] = []
    with HttpsServer(lambda request: done.append(request.path) or json_reply({}), faults=HttpFaults(reset_before=1)) as server:
        with pytest.raises((OSError, http.client.HTTPException)):
            get(server, "/first")
        assert get(server, "/second")[0] == 200
    assert done == ["/second"]


def test_a_reset_after_the_handler_leaves_it_done():
    done: list[str] = []
    server = HttpsServer(lambda request: done.append(request.path) or json_reply({}), faults=HttpFaults(reset_after=1))
    with server, pytest.raises((OSError, http.client.HTTPException)):
        get(server, "/first")
    assert done == ["/first"]


def test_a_request_can_stay_without_an_answer():
    with HttpsServer(echo, faults=HttpFaults(stall=1)) as server, pytest.raises(TimeoutError):
        get(server, timeout=0.2)


def test_a_reply_can_break_off_in_the_middle():
    with HttpsServer(echo, faults=HttpFaults(truncate=1)) as server, pytest.raises(http.client.IncompleteRead):
        get(server)


def test_a_reply_can_come_byte_by_byte():
    with HttpsServer(echo, faults=HttpFaults(trickle=1, spacing=0.0)) as server:
        assert get(server)[0] == 200


def test_something_in_front_can_answer_instead_of_the_handler():
    with HttpsServer(echo, faults=HttpFaults(statuses={1: 503})) as server:
        assert get(server)[0] == 503
        assert get(server)[0] == 200


@pytest.mark.parametrize("announced", [True, False])
def test_a_connection_can_end_after_so_many_replies(announced: bool):
    with HttpsServer(echo, faults=HttpFaults(requests_each=1, announced=announced)) as server:
        connection = client(server)
        connection.request("GET", "/")
        reply = connection.getresponse()
        reply.read()
        assert (reply.getheader("Connection") == "close") is announced
        connection.close()
        assert get(server)[0] == 200
        assert server.connections == 2


def test_a_packed_reply_says_so():
    with HttpsServer(lambda request: json_reply({"a": 1}).packed()) as server:
        connection = client(server)
        connection.request("GET", "/")
        reply = connection.getresponse()
        assert reply.getheader("Content-Encoding") == "gzip"
        reply.read()
        connection.close()
