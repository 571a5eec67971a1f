/// How much of a child's output is read at a time: about what so many of its lines take. A loop serves its other sockets between two
/// reads, so a flood of short lines keeps them waiting no longer than long ones do.
struct ReadSize {
    private static let lines = 256
    private static let least = 2_048
    static let most = 1 << 20

    private(set) var bytes = 64 << 10

    /// What has been read, and how many lines ended in it.
    ///
    /// - Returns: The new size, where it is another one.
    mutating func read(_ count: Int, lines: Int) -> Int? {
        guard count > 0 else { return nil }
        // A line that has not ended yet is longer than what was read of it. Larger only step by step: a chunk may be all that there was.
        let wanted = lines == 0 ? Self.most : min(count / lines * Self.lines, Self.most)
        let before = bytes
        if wanted >= bytes * 2 { bytes *= 2 } else { while bytes > Self.least, wanted < bytes { bytes /= 2 } }
        return bytes == before ? nil : bytes
    }
}
