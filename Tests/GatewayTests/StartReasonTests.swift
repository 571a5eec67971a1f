import Testing

@testable import Gateway

@Suite struct StartReasonTests {
    @Test(arguments: [
        ("the server exited with status 3", "no configuration found", false, StartReason.exitBeforeReady, 3 as Int?),
        ("the server was killed by signal 9", "", false, .exitBeforeReady, nil),
        (
            "the server exited with status 1 before it listened on port 8000", "Traceback\nModuleNotFoundError: No module named 'x'", false,
            .importError, 1
        ),
        ("the server exited with status 1", "ImportError: cannot import name 'y' from 'mcp'", false, .importError, 1),
        ("the server exited with status 1", "Error: Cannot find module '/srv/x.js'\nRequire stack:", false, .importError, 1),
        ("the server exited with status 1", "it says ImportError in a sentence", false, .exitBeforeReady, 1),
        ("the server did not listen on port 8000 within 30 s, but listens on port 9000: give --http 9000", "", false, .bindLoopback, nil),
        ("not ready within 60 s", "incident 408a3bc5: the server did not answer the handshake within 30 s", false, .probeTimeout, nil),
        ("it did not answer MCP's handshake in time", "", true, .probeTimeout, nil),
        ("the server listens on port 8000, but did not answer MCP's handshake at /mcp within 30 s", "", false, .probeTimeout, nil),
        ("the server exited with status 126", "berth-agent child: exec /srv/server/x: Exec format error", false, .execFormat, 126),
        (
            "the server exited with status 1", "/srv/server/x: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by x)",
            false,
            .execFormat, 1
        ),
        (
            "the server exited with status 127", "x: error while loading shared libraries: libfoo.so.1: cannot open shared object file", false,
            .execFormat, 127
        ),
    ])
    func aFailedStartHasAReason(_ told: String, _ stderr: String, _ timedOut: Bool, _ reason: StartReason, _ code: Int?) throws {
        let found = try #require(StartReason.of(told, stderr: stderr, timedOut: timedOut))
        #expect(found.reason == reason && found.code == code)
    }

    @Test func othersHaveNone() {
        #expect(StartReason.of("another process of the machine listens on port 8000", stderr: "", timedOut: false) == nil)
    }
}
