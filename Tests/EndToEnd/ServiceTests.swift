import Foundation
import TestSupport
import Testing

/// `berth up` as a service: what systemd would hear, and what its unit does.
@Suite(.enabled(if: Berth.isPossible, "machines need root"))
struct ServiceTests {
    /// Listens as systemd does, prints what comes.
    private static let listener = """
        import socket, sys
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        server.bind("\\0" + sys.argv[1][1:] if sys.argv[1][0] == "@" else sys.argv[1])
        print("bound", flush=True)
        while True: print(server.recv(4096).decode(), flush=True)
        """

    @Test(arguments: ["path", "abstract"])
    func itSaysWhenItIsReadyAndLeavesItsMachines(kind: String) async throws {
        try await Berth.run { berth in
            let folder = (berth.state as NSString).deletingLastPathComponent
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let name = kind == "path" ? folder + "/notify" : "@berth-test-\(UUID().uuidString)"
            let listener = try Background(["/usr/bin/python3", "-c", Self.listener, name], in: folder)
            defer { listener.end() }
            _ = try await listener.line { $0 == "bound" }
            func service() throws -> Background {
                try Background(
                    [Repository.binary("berth"), "up", "--state", berth.state, "--listen", "127.0.0.1:\(berth.port)"],
                    environment: ["NOTIFY_SOCKET": name], in: folder)
            }
            let up = try service()
            defer { up.end() }
            _ = try await listener.line { $0 == "READY=1" }
            // Ready is ready: what asks now is answered.
            #expect(try await berth.run(["status"]).status == 0)
            #expect(!listener.output.contains("STOPPING"))
            try await berth.add("fixture", fixture: "fixture.py")
            let machine = try await berth.machine()
            // As `systemctl restart` does with KillMode=process.
            #expect(await up.end(SIGTERM) == 0, "\(up.output)")
            _ = try await listener.line { $0 == "STOPPING=1" }
            let again = try service()
            defer { again.end() }
            let isReady = await eventually { listener.output.split(separator: "\n").filter { $0 == "READY=1" }.count == 2 }
            #expect(isReady, "\(listener.output) \(again.output)")
            let isAdopted = await eventually { (try? await berth.machine()) == machine }
            #expect(isAdopted, "\(berth.log)")
        }
    }
}
