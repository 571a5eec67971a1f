import Door
import Glibc
import JSONText
import TestSupport
import Testing

@Suite(.enabled(if: AgentRig.isPossible)) struct IsolationTests {
    @Test func aChildHasNothingButItsOwn() async throws {
        try await AgentRig.with(environment: ["CONFIGURED": "yes"]) { rig in
            let identity = try #require(try await rig.call("identity").value)
            let uid = try #require(identity["uid"]?.intValue)
            #expect(uid == Int(rig.firstUID) && identity["gid"]?.intValue == uid)
            #expect(identity["groups"] == [])
            #expect(identity["fds"] == [0, 1, 2])
            #expect(identity["caps"]?.arrayValue?.allSatisfy { $0 == "0000000000000000" } == true)
            #expect(identity["umask"] == "0077" && identity["oom"] == "1000" && identity["cwd"] == "/")
            #expect(identity["ppid"]?.intValue == Int(rig.pid) && identity["sid"] == identity["pid"])
            var environment = try #require(identity["environment"]?.objectValue)
            let home = try #require(environment["HOME"]?.stringValue)
            #expect(environment["TMPDIR"] == .string(home))
            #expect(home.hasPrefix("/tmp/") && home.utf8.count == 5 + 32)
            var info = stat()
            #expect(stat(home, &info) == 0 && info.st_mode & 0o777 == 0o700 && Int(info.st_uid) == uid)
            for name in ["HOME", "TMPDIR", "LC_CTYPE"] { environment[name] = nil }
            #expect(Set(environment.keys) == ["CONFIGURED", "PATH"])
        }
    }

    @Test func siblingsAndTheAgentAreOutOfReach() async throws {
        try await AgentRig.with { rig in
            let one = try #require(try await rig.call("identity", session: "one").value)
            let two = try #require(try await rig.call("identity", session: "two").value)
            #expect(one["uid"] != two["uid"])
            let sibling = two["pid"]?.intValue ?? 0
            for victim in [sibling, Int(rig.pid)] {
                #expect(try await rig.call("environ_of", "{\"pid\":\(victim)}", session: "one").text == "refused: Permission denied")
                let signalled = try await rig.call("signal_to", "{\"pid\":\(victim),\"number\":9}", session: "one")
                #expect(signalled.text == "refused: Operation not permitted")
                for file in ["mem", "maps"] {
                    let answer = try await rig.call("read_file", "{\"path\":\"/proc/\(victim)/\(file)\"}", session: "one").text
                    #expect(answer?.hasPrefix("refused") == true)
                }
            }
            let path = try #require(try await rig.call("write_file", #"{"name":"note","text":"private"}"#, session: "two").text)
            #expect(try await rig.call("read_file", #"{"path":"\#(path)"}"#, session: "two").text == "private")
            #expect(try await rig.call("read_file", #"{"path":"\#(path)"}"#, session: "one").text == "refused: Permission denied")
        }
    }

    @Test(.tags(.failure01, .failure02)) func endingASessionRemovesDaemonsAndFiles() async throws {
        try await AgentRig.with { rig in
            let daemon = try #require(try await rig.call("daemon").text.flatMap { Int($0) })
            let path = try #require(try await rig.call("write_file", #"{"name":"left","text":"x"}"#).text)
            #expect(exists(daemon) && access(path, F_OK) == 0)
            let ended = try await rig.request("DELETE", "/sessions/s")
            #expect(ended.status == 200)
            await eventually("the double-forked process is reaped") { !exists(daemon) }
            #expect(access(path, F_OK) != 0)
            #expect(access(String(path.dropLast("/left".count)), F_OK) != 0)
            #expect(AgentRig.processes(from: rig.firstUID).isEmpty)
            #expect(try await rig.request("DELETE", "/sessions/s").status == 404)
        }
    }

    @Test func childrenOfOneSessionAreApartToo() async throws {
        try await AgentRig.with { rig in
            let plain = try #require(try await rig.call("identity").value)
            let able = try #require(try await rig.call("identity", capabilities: #"{"elicitation":{}}"#).value)
            #expect(plain["uid"]?.intValue != nil && able["uid"]?.intValue != nil && plain["uid"] != able["uid"])
            let pid = try #require(able["pid"]?.intValue)
            #expect(try await rig.call("environ_of", "{\"pid\":\(pid)}").text == "refused: Permission denied")
        }
    }

    @Test func aUidIsNeverUsedAgain() async throws {
        try await AgentRig.with { rig in
            var seen: [Int] = []
            for _ in 0..<3 {
                seen.append(try await rig.call("identity").value?["uid"]?.intValue ?? -1)
                _ = try await rig.call("crash")
            }
            #expect(seen == [0, 1, 2].map { Int(rig.firstUID) + $0 })
        }
    }

    @Test(.tags(.failure01, .failure02)) func termEndsEverythingInOrder() async throws {
        try await AgentRig.with { rig in
            _ = try await rig.call("echo", session: "a")
            let daemon = try #require(try await rig.call("daemon", session: "b").text.flatMap { Int($0) })
            rig.signal(SIGTERM)
            let status = await rig.waitForEnd()
            #expect(status?.code == 0)
            #expect(!exists(daemon))
            #expect(AgentRig.processes(from: rig.firstUID).isEmpty)
        }
    }

    @Test(.tags(.failure01)) func childrenDieWithTheAgent() async throws {
        try await AgentRig.with("ignores_eof.py") { rig in
            _ = try await rig.call("echo")
            rig.signal(SIGKILL)
            _ = await rig.waitForEnd()
            await eventually("children are gone") { AgentRig.processes(from: rig.firstUID).isEmpty }
            // In a machine its /tmp goes with it; here the same mode that ends a child removes what is left.
            try await rig.runKillMode()
        }
    }

    @Test func limitsHold() async throws {
        var limits = BootDocument.ChildLimits()
        limits.openFiles = 77
        try await AgentRig.with(limits: limits) { rig in
            let pid = try #require(try await rig.call("identity").value?["pid"]?.intValue)
            let text = try #require(try await rig.call("read_file", #"{"path":"/proc/\#(pid)/limits"}"#).text)
            let files = text.split(separator: "\n").first { $0.hasPrefix("Max open files") }
            #expect(files?.split(separator: " ").dropFirst(3).prefix(2).elementsEqual(["77", "77"]) == true)
        }
    }
}
