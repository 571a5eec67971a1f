import CLinux
import Glibc
import Standalone
import Testing
import TestSupport

@testable import StdioBridge

/// Lines to somebody who does not read.
struct LineOutputTests {
    @Test func whoOffersNeverWaitsAndLearnsWhatIsMissing() async throws {
        var ends: [Int32] = [-1, -1]
        try #require(clinux_pipe_cloexec(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        let output = LineOutput(descriptor: writer, limit: 1 << 20)
        let line = String(repeating: "x", count: 1023)
        // The pipe takes 64, what waits is bounded; this call would never end if it wrote them itself.
        for _ in 0..<3_000 { output.offer(line) }
        output.flush(within: 1)
        let reading = Task.detached {
            var text: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 1 << 16)
            while case let count = read(reader, &chunk, chunk.count), count > 0 { text += chunk.prefix(count) }
            return text.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
        }
        // All of it, now that somebody reads.
        output.flush(within: 20_000)
        output.offer("last")
        await output.finish(within: 20)
        close(writer)
        let lines = await reading.value
        close(reader)
        let kept = lines.count { $0 == line }
        #expect((1_000..<1_200).contains(kept), "\(kept)")
        // Where the writer came to write in between, it is told in parts.
        let missing = lines.compactMap { $0.wholeMatch(of: /\((\d+) lines are missing: nobody read them\)/).flatMap { Int($0.1) } }
        #expect(missing.reduce(kept, +) == 3_000 && lines.last == "last" && lines.count == kept + missing.count + 1, "\(missing)")
    }
}
