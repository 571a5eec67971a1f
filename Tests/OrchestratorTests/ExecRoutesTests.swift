import Foundation
import Glibc
import MachineAPI
import NIOCore
import Synchronization
import Testing
import Wire

@testable import Orchestrator

/// `POST …/exec`: who may, when, and what is written before and after.
struct ExecRoutesTests {
    /// Takes rows, or none.
    private final class Rows: ExecAudit {
        let written = Mutex([ExecEntry]())
        let isBroken = Mutex(false)

        func record(_ entry: ExecEntry) async throws {
            if isBroken.withLock({ $0 }) { throw MachineFailure(.unavailable, "audit_unavailable", "no row") }
            written.withLock { $0.append(entry) }
        }
    }

    private struct Answer {
        var status: Int
        var json: [String: Any]
        var code: String { "\(status) \(json["status"] as? String ?? "")" }
    }

    private struct Bench {
        let host: FakeHost
        let client: MachinesClient
        let rows: Rows
        let machine: Machine

        /// With the token for commands.
        func exec(
            _ body: String = #"{"command":["ls","/"]}"#, token: String? = nil, nonce: String? = nil, on id: String? = nil
        ) async throws -> Answer {
            let bootstrap = try host.orchestrator.bootstrap()
            var headers = [
                ("content-type", "application/json"), ("authorization", "Bearer \(token ?? bootstrap.machines_exec_token ?? bootstrap.machines_token)"),
            ]
            if let nonce { headers.append(("fly-machine-lease-nonce", nonce)) }
            return try await Self.post(id ?? machine.id, body, headers, to: try host.tcp().endpoint)
        }

        static func post(_ id: String, _ body: String, _ headers: [(String, String)], to endpoint: Endpoint) async throws -> Answer {
            let http = HTTPClient()
            let response = try await http.execute(
                "POST", "/v1/apps/web/machines/\(id)/exec", headers: headers, body: ByteBuffer(string: body), to: endpoint)
            let bytes = try await response.collect(upTo: 8 << 20)
            await http.shutdown()
            let json = try JSONSerialization.jsonObject(with: Data(bytes.readableBytesView)) as? [String: Any]
            return Answer(status: response.status, json: json ?? [:])
        }

        func execEvents() async throws -> [MachineEvent] {
            try await host.store.events(of: machine.id, limit: 200).filter { $0.type == "exec" }
        }

        var ran: [ExecCommand] { host.runtime.state.withLock { $0.commands } }
    }

    private func bench(isAllowed: Bool = true, _ body: (Bench) async throws -> Void) async throws {
        let rows = Rows()
        try await withFakeHost(exec: ExecPolicy(isAllowed: isAllowed, audit: rows)) { host, client in
            try await client.createApp("web", org: "acme", appRoot: [UInt8](repeating: 3, count: 32))
            let machine = try await client.create(app: "web", name: "one", config: FakeHost.config, skipLaunch: false)
            let started = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            try await body(Bench(host: host, client: client, rows: rows, machine: started))
        }
    }

    @Test("the answer in Fly's shape, one row before it runs, and one event with its end")
    func aCommand() async throws {
        try await bench { (bench) async throws in
            bench.host.runtime.state.withLock {
                $0.execResult = ExecResult(exitCode: 3)
                $0.execResult.output = .init(bytes: Array("out".utf8), cut: 17)
                $0.execResult.errors = .init(bytes: [0x65, 0xFF])
                $0.execResult.milliseconds = 12
            }
            let answer = try await bench.exec(#"{"command":["ls","/"],"stdin":"in","timeout":5}"#)
            #expect(answer.status == 200 && answer.json["exit_code"] as? Int == 3 && answer.json["exit_signal"] as? Int == 0)
            #expect(answer.json["stdout"] as? String == "out\n[cut: 17 bytes more]\n" && answer.json["stderr"] as? String == "e\u{FFFD}")
            let own = answer.json["berth"] as? [String: Any]
            #expect(own?["ended"] as? String == "itself" && own?["stdout_cut"] as? Int == 17 && own?["stderr_cut"] == nil)
            #expect(bench.ran == [ExecCommand(arguments: ["ls", "/"], input: Array("in".utf8), timeout: .seconds(5))])
            let boot = try #require(bench.machine.berth?.boot_id)
            let entry = ExecEntry(app: "web", machine: bench.machine.id, boot: boot, by: "organisation (exec)", command: ["ls", "/"])
            #expect(bench.rows.written.withLock { $0 } == [entry])
            let events = try await bench.execEvents()
            #expect(events.count == 1 && events[0].reason == "ls: exit code 3, after 12 ms", "\(events)")
            let exec = try #require(events[0].request?.exec_event)
            #expect(exec.command == ["ls", "/"] && exec.ended == "itself" && exec.exit_code == 3 && exec.milliseconds == 12)
        }
    }

    @Test("off unless an operator switched it on, for everybody; then for root and its own token, not for the other, nor the gateway")
    func scope() async throws {
        try await bench(isAllowed: false) { (bench) async throws in
            #expect(try bench.host.orchestrator.bootstrap().machines_exec_token == nil)
            #expect(try await bench.exec().code == "403 exec_off")
            if geteuid() == 0 {
                let root = try await Bench.post(bench.machine.id, #"{"command":["ls"]}"#, [("content-type", "application/json")], to: bench.host.socket)
                #expect(root.code == "403 exec_off")
            }
            #expect(bench.ran.isEmpty && bench.rows.written.withLock { $0.isEmpty })
        }
        try await bench { (bench) async throws in
            let bootstrap = try bench.host.orchestrator.bootstrap()
            #expect(bootstrap.machines_exec_token != bootstrap.machines_token)
            #expect(try await bench.exec(token: bootstrap.machines_token).code == "403 forbidden")
            #expect(try await bench.exec(token: bootstrap.machines_token + "," + "x").code == "403 forbidden")
            #expect(try await bench.exec(token: "x").code == "401 unauthorized")
            #expect(bench.ran.isEmpty)
            #expect(try await bench.exec().status == 200)
            if geteuid() == 0 {
                let root = try await Bench.post(bench.machine.id, #"{"command":["ls"]}"#, [("content-type", "application/json")], to: bench.host.socket)
                #expect(root.status == 200 && bench.rows.written.withLock { $0.last?.by } == "root")
            }
        }
        let policy = ExecPolicy(isAllowed: true)
        #expect(throws: MachineFailure.self) { try policy.check(.gateway) }
        #expect(throws: MachineFailure.self) { try policy.check(.organisation) }
        #expect(!MachinesCaller.executor.marksMachines)
    }

    /// The token for commands has outlived the switch: it opens nothing any more.
    @Test("a token for commands is none where they are off")
    func offAgain() async throws {
        let first = try FakeHost(exec: ExecPolicy(isAllowed: true, audit: Rows()))
        try await first.open()
        let token = try #require(try first.orchestrator.bootstrap().machines_exec_token)
        try await first.leave()
        let second = try FakeHost(directory: first.directory)
        try await second.open()
        let answer = try await Bench.post(
            "00000000000000", "{}", [("content-type", "application/json"), ("authorization", "Bearer \(token)")], to: try second.tcp().endpoint)
        #expect(answer.code == "401 unauthorized")
        try await second.close()
    }

    @Test("no row, no command; and no event that tells of one")
    func failsClosed() async throws {
        try await bench { (bench) async throws in
            bench.rows.isBroken.withLock { $0 = true }
            #expect(try await bench.exec().code == "503 audit_unavailable")
            #expect(bench.ran.isEmpty)
            #expect(try await bench.execEvents().isEmpty)
        }
        try await withFakeHost(exec: ExecPolicy(isAllowed: true)) { host, client in
            try await client.createApp("web", org: "acme", appRoot: [UInt8](repeating: 3, count: 32))
            let machine = try await client.create(app: "web", name: "one", config: FakeHost.config, skipLaunch: false)
            _ = try await client.wait(app: "web", id: machine.id, for: .started, seconds: 60)
            let token = try host.orchestrator.bootstrap().machines_exec_token ?? ""
            let answer = try await Bench.post(
                machine.id, #"{"command":["ls"]}"#, [("content-type", "application/json"), ("authorization", "Bearer \(token)")], to: try host.tcp().endpoint)
            #expect(answer.code == "503 audit_unavailable", "where there is no log at all")
        }
    }

    @Test("a machine that is stopped, suspended, leased by another or unknown refuses by its state")
    func states() async throws {
        try await bench { (bench) async throws in
            let id = bench.machine.id
            #expect(try await bench.exec(on: "00000000000000").code == "404 not_found")
            let lease = try await bench.host.orchestrator.lease(id, seconds: 60, description: "", owner: "test")
            #expect(try await bench.exec().status == 409)
            #expect(try await bench.exec(nonce: "000000000000").status == 409)
            #expect(try await bench.exec(nonce: lease.nonce).status == 200)
            _ = try await bench.host.store.releaseLease(of: id, nonce: nil, at: 0)
            try await bench.client.perform(.stop, app: "web", id: id)
            _ = try await bench.client.wait(app: "web", id: id, for: .stopped, seconds: 60)
            let stopped = try await bench.exec()
            #expect(stopped.code == "412 failed_precondition" && (stopped.json["error"] as? String)?.hasSuffix("'stopped'") == true)
            #expect(bench.ran.count == 1 && bench.rows.written.withLock { $0.count } == 1)
        }
    }

    @Test("a runtime's refusals by their names")
    func refusals() async throws {
        try await bench { (bench) async throws in
            for (refusal, code) in [
                (ExecRefusal.tooMany(4, inMachine: true), "503 too_many_execs"), (.noUser, "503 no_user"), (.ending, "412 failed_precondition"),
                (.runtime("/usr/bin/runsc"), "501 not_implemented"), (.notStarted("no such file"), "422 not_started"),
            ] {
                bench.host.runtime.state.withLock { $0.execRefusal = refusal }
                #expect(try await bench.exec().code == code)
            }
            #expect(try await bench.execEvents().isEmpty)
        }
    }

    @Test("a machine in which somebody runs a command is neither suspended nor stopped for being idle")
    func holds() async throws {
        try await bench { (bench) async throws in
            bench.host.runtime.state.withLock { $0.commandsRunning = 1 }
            try await bench.host.reconciler.send(.suspend(source: "user"), to: bench.machine.id)
            let event = try await eventually("the refusal") {
                try await bench.host.store.events(of: bench.machine.id, limit: 5).first { $0.reason?.contains("somebody runs a command in it") == true }
            }
            #expect(event.type == "suspend")
            let machine = try await bench.client.wait(app: "web", id: bench.machine.id, for: .started, seconds: 60)
            #expect(machine.state == .started && !bench.host.runtime.state.withLock { $0.story.contains("freeze") })
            let record = try #require(try await bench.host.store.machine(bench.machine.id))
            await #expect(throws: MachineFailure.self) {
                try await bench.host.reconciler.host.close(record, try #require(record.boot), idleSeconds: 0)
            }
        }
    }

    @Test("the end of a command that an orchestrator did not live to see is told as unknown")
    func unknownEnd() async throws {
        try await bench { (bench) async throws in
            var event = MachineEvent(type: "exec", status: "started", source: "root", reason: nil, at: 7)
            event.request = .init(exec_event: .init(command: ["sleep", "9"]))
            try await bench.host.store.begin(event, of: bench.machine.id)
            _ = try await bench.exec()
            try await bench.host.store.finishUnknownExecs()
            let events = try await bench.execEvents()
            #expect(events.map { $0.request?.exec_event?.ended } == ["itself", "unknown"])
            #expect(events[1].reason?.hasPrefix("its end is unknown") == true)
        }
    }

    @Test("an event keeps the first 4 KiB of the words")
    func longWords() async throws {
        try await bench { (bench) async throws in
            let word = String(repeating: "x", count: 3_000)
            #expect(try await bench.exec(#"{"command":["echo","\#(word)","\#(word)","end"]}"#).status == 200)
            let command = try await bench.execEvents().first?.request?.exec_event?.command
            #expect(command?.count == 4 && command?.last == "…" && command?[2].count == 1_090, "\(command ?? [])")
            #expect(bench.ran.first?.arguments.last == "end" && bench.rows.written.withLock { $0.first?.command.last } == "end")
        }
    }
}
