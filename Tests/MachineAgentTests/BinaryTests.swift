import Glibc
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
}
