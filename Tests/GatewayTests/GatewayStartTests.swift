import Foundation
import Glibc
import Logging
import NIOCore
import NIOPosix
import Testing
import Wire

@testable import Gateway

@Suite("the gateway's start", .timeLimit(.minutes(5)))
struct GatewayStartTests {
    /// A state directory, and what a gateway on it is started with.
    struct Home {
        let path: String
        let port: Int

        func configuration() throws -> GatewayConfiguration {
            let socket = try UnixListener.open(path: path + "/control.sock", mode: 0o600, backlog: 8)
            return GatewayConfiguration(
                state: path + "/gateway", listenHost: "127.0.0.1", listenPort: port, publicURL: "http://127.0.0.1:\(port)", allowedHosts: [],
                trustedProxies: [], controlSocket: socket, machinesSocket: path + "/nobody.sock",
                logger: Logger(label: "start-test") { _ in SwiftLogNoOpLogHandler() })
        }

        func start() async throws {
            try await GatewayService.run(configuration(), ready: {}, untilStopped: {})
        }
    }

    /// What this process holds, alone in a process of its own (an exit test): descriptors, and threads of event loops. Those of
    /// the pools behind Swift's tasks and the database come and go as they like.
    static func held() -> [String: Int] {
        func names(_ path: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }
        let loops = names("/proc/self/task").filter { thread in
            (try? String(contentsOfFile: "/proc/self/task/\(thread)/comm", encoding: .utf8))?.hasPrefix("NIO-ELT") == true
        }
        return ["descriptors": names("/proc/self/fd").count, "event loops": loops.count]
    }

    /// - Parameter attempt: a start and its end, whatever comes of it.
    static func holdsNothing(after attempt: (Home) async throws -> Void) async throws -> Bool {
        let path = NSTemporaryDirectory() + "/berth-start-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try FileManager.default.createDirectory(atPath: path + "/gateway", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: path) }
        // Somebody has the port.
        let holder = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        let home = Home(path: path, port: holder.localAddress?.port ?? 0)
        // What is made once and for all is made by the first.
        for _ in 1...2 { try await attempt(home) }
        let before = held()
        for _ in 1...3 { try await attempt(home) }
        let deadline = ContinuousClock.now + .seconds(120)
        while held().contains(where: { $0.value > before[$0.key, default: 0] }) {
            guard ContinuousClock.now < deadline else {
                FileHandle.standardError.write(Data("before \(before), after \(held())\n".utf8))
                return false
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        try await holder.close()
        return true
    }

    @Test func aPortInUse() async {
        await #expect(processExitsWith: .success) {
            let isClean = try await GatewayStartTests.holdsNothing { home in
                await #expect(throws: IOError.self) { try await home.start() }
            }
            #expect(isClean)
        }
    }

    @Test func aDamagedDatabase() async {
        await #expect(processExitsWith: .success) {
            let isClean = try await GatewayStartTests.holdsNothing { home in
                let database = home.path + "/gateway/gateway.db"
                try Data("no database, but long enough to be taken for the head of one".utf8).write(to: URL(fileURLWithPath: database))
                chmod(database, 0o600)
                await #expect(throws: (any Error).self) { try await home.start() }
            }
            #expect(isClean)
        }
    }

    @Test func anAuditLogThatDoesNotHold() async {
        await #expect(processExitsWith: .success) {
            let isClean = try await GatewayStartTests.holdsNothing { home in
                let audit = home.path + "/gateway/audit"
                try FileManager.default.createDirectory(atPath: audit, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                try Data("no row\n".utf8).write(to: URL(fileURLWithPath: audit + "/loop0-000001.rows"))
                await #expect(throws: (any Error).self) { try await home.start() }
            }
            #expect(isClean)
        }
    }

    @Test func oneThatEndsInOrder() async {
        await #expect(processExitsWith: .success) {
            let isClean = try await GatewayStartTests.holdsNothing { home in
                try await Home(path: home.path, port: 0).start()
            }
            #expect(isClean)
        }
    }
}
