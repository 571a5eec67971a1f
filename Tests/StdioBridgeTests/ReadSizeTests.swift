import Testing

@testable import StdioBridge

struct ReadSizeTests {
    /// What is read, and how many lines end in it, over and over; the size that this comes to.
    @Test(arguments: [
        (300, 1, 65_536), (65_536, 200, 65_536), (65_536, 32_768, 2_048), (2_048, 1_024, 2_048), (65_536, 2_340, 4_096), (65_536, 0, 1 << 20),
        (1 << 20, 1, 1 << 20), (0, 0, 65_536),
    ]) func settles(count: Int, lines: Int, size: Int) {
        var read = ReadSize()
        for _ in 0..<20 { _ = read.read(min(count, read.bytes), lines: lines * min(count, read.bytes) / max(count, 1)) }
        #expect(read.bytes == size)
    }

    /// Down at once, since the next read may be a flood's too; up by steps.
    @Test func aFloodIsMetAtOnce() {
        var read = ReadSize()
        for _ in 0..<4 { _ = read.read(65_536, lines: 0) }
        #expect(read.bytes == 1 << 20)
        #expect(read.read(1 << 20, lines: 1 << 19) == 2_048)
        #expect(read.read(2_048, lines: 1) == 4_096)
        #expect(read.read(300, lines: 1) == 8_192)
        #expect(read.read(300, lines: 9) == nil)
    }
}
