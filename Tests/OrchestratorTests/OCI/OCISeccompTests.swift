import Foundation
import Testing

@testable import Orchestrator

@Suite struct OCISeccompTests {
    private static let images = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../images").standardizedFileURL

    private static var engineDefault: Set<String> {
        get throws {
            let text = try String(contentsOf: images.appending(path: "engine-default-calls.txt"), encoding: .utf8)
            let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
            return Set(lines.flatMap { $0.split(separator: " ").map(String.init) })
        }
    }

    private static let allowed = Set(SeccompProfile.allowed.flatMap(\.calls))
    private static let refused = Set(SeccompProfile.refused.flatMap(\.calls) + SeccompProfile.persistentIPC.calls)
    private static let omitted = Set(SeccompProfile.omitted.flatMap(\.calls) + SeccompProfile.otherArchitectures.calls)
    /// Allowed with conditions on their arguments, by rules of their own.
    private static let conditional: Set = ["clone", "clone3", "socket", "personality"]

    @Test("every call of the engines' default is allowed, refused or left out for a stated reason")
    func everyDifferenceIsKnown() throws {
        let known = Self.allowed.union(Self.refused).union(Self.omitted).union(Self.conditional)
        #expect(try Self.engineDefault.subtracting(known).sorted() == [])
    }

    @Test("nothing is allowed that the engines' default does not allow")
    func nothingMore() throws {
        #expect(Self.allowed.subtracting(try Self.engineDefault).sorted() == [])
    }

    @Test("no call stands in two groups")
    func disjoint() {
        #expect(Self.allowed.intersection(Self.refused).sorted() == [])
        #expect(Self.allowed.intersection(Self.omitted).sorted() == [])
        #expect(Self.allowed.intersection(Self.conditional).sorted() == [])
        for groups in [SeccompProfile.allowed, SeccompProfile.refused] {
            #expect(Set(groups.flatMap(\.calls)).count == groups.flatMap(\.calls).count)
        }
    }

    @Test(
        "what the engines' default lets through for want of capabilities is refused",
        arguments: [
            "unshare", "mount", "setns", "ptrace", "keyctl", "process_vm_readv", "pidfd_getfd", "syslog", "memfd_secret", "io_uring_setup", "shmget",
        ])
    func refuses(_ call: String) {
        #expect(Self.refused.contains(call))
    }

    @Test("a trial's machine has ptrace besides, and nothing else")
    func tracing() throws {
        func rules(_ document: [String: Any], _ action: String) -> Set<String> {
            Set((document["syscalls"] as? [[String: Any]] ?? []).filter { $0["action"] as? String == action }.flatMap { $0["names"] as? [String] ?? [] })
        }
        let (usual, traced) = (SeccompProfile.document(), SeccompProfile.document(allowsTracing: true))
        #expect(rules(traced, "SCMP_ACT_ALLOW").subtracting(rules(usual, "SCMP_ACT_ALLOW")) == ["ptrace"])
        #expect(rules(usual, "SCMP_ACT_ERRNO").subtracting(rules(traced, "SCMP_ACT_ERRNO")) == ["ptrace"])
        #expect(traced["defaultAction"] as? String == "SCMP_ACT_ERRNO")
    }

    @Test("images/seccomp.json is what the list makes; BERTH_UPDATE_FIXTURES=1 writes it")
    func published() throws {
        let path = Self.images.appending(path: "seccomp.json")
        let made = try JSONSerialization.data(
            withJSONObject: SeccompProfile.document(), options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        if ProcessInfo.processInfo.environment["BERTH_UPDATE_FIXTURES"] == "1" { try (made + Data("\n".utf8)).write(to: path) }
        #expect(try Data(contentsOf: path) == made + Data("\n".utf8))
    }
}
