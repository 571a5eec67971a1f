import Glibc
import TestSupport
import Testing

@Suite(.enabled(if: AgentRig.isPossible)) struct BinaryTests {
    /// A program header of type PT_INTERP names the dynamic loader; a static executable has none, so it runs in an image
    /// that holds nothing else.
    @Test func needsNoLoader() throws {
        let descriptor = open(AgentRig.binary, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        var head = [UInt8](repeating: 0, count: 4096)
        #expect(read(descriptor, &head, head.count) == head.count)
        #expect(head.prefix(5).elementsEqual([0x7F, 0x45, 0x4C, 0x46, 2]), "a 64-bit ELF file")
        func number(_ offset: Int, _ bytes: Int) -> Int { (0..<bytes).reversed().reduce(0) { $0 << 8 | Int(head[offset + $1]) } }
        let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2))
        let types = (0..<count).map { number(table + $0 * size, 4) }
        #expect(types.contains(1), "loadable segments")
        #expect(!types.contains(3), "no interpreter")
    }

    @Test(arguments: [["child"], ["child", "0"], ["kill", "0"], ["kill", "x"], ["agent", "--first-uid", "0"], ["serve"], []])
    func refusesToRunAsRoot(arguments: [String]) async throws {
        #expect(try await AgentRig.blocking { AgentRig.run(arguments) } == 64)
    }

    @Test func endsWithoutABootDocument() async throws {
        #expect(try await AgentRig.blocking { AgentRig.run(["agent"]) } == 78)
    }

    /// Root without a capability: whom the kernel lets look into its equals, and into nothing that is not dumpable.
    private static let equal = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]

    private func looksInto(_ pid: pid_t) async throws -> Bool {
        try await AgentRig.blocking { AgentRig.run(Self.equal + ["cat", "/proc/\(pid)/environ"], path: "/usr/bin/setpriv") } == 0
    }

    /// Not by its uid, which any child lacks: what gets at an agent's own rights is kept out too.
    @Test func nobodyLooksIntoAnAgent() async throws {
        try await AgentRig.beside(Self.equal + ["sleep", "600"], path: "/usr/bin/setpriv") { pid in
            try await eventually("an equal is looked into") { try await looksInto(pid) }
        }
        // It waits for its boot document.
        try await AgentRig.beside(Self.equal + [AgentRig.binary, "agent"], path: "/usr/bin/setpriv") { pid in
            await eventually("the program runs") { AgentRig.isAgent(pid) }
            try await eventually("and is closed") { try await !looksInto(pid) }
            #expect(exists(Int(pid)))
        }
    }

    /// Whether the kernel refuses or only says that it did, nothing is read, not even what a boot document is missing for.
    @Test(arguments: [EPERM, 0]) func endsWhereOthersCanLookIntoIt(errno: Int32) async throws {
        let words = ["python3", "-B", AgentRig.fixtures + "stays_dumpable.py", String(errno), AgentRig.binary, "agent"]
        #expect(try await AgentRig.blocking { AgentRig.run(words, path: "/usr/bin/python3") } == 71)
    }
}
