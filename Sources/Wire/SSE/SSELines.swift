import Glibc

/// Line ends of an event stream: CRLF, LF or CR.
enum SSELines {
    /// The first line end at or after `start`: where the line ends and where the next one begins. A CR as the very last
    /// byte counts as a line end of its own; the reader skips an LF that follows.
    static func end(in all: UnsafeRawBufferPointer, from start: Int) -> (line: Int, next: Int)? {
        guard let base = all.baseAddress, start < all.count else { return nil }
        let lineFeed = memchr(base + start, CInt(ASCII.lf), all.count - start).map { base.distance(to: UnsafeRawPointer($0)) }
        // A CR counts only before the first LF, so the second search never goes over the same bytes for two lines.
        let limit = lineFeed ?? all.count
        if let hit = memchr(base + start, CInt(ASCII.cr), limit - start) {
            let carriageReturn = base.distance(to: UnsafeRawPointer(hit))
            return (carriageReturn, carriageReturn + 1 == lineFeed ? carriageReturn + 2 : carriageReturn + 1)
        }
        return lineFeed.map { ($0, $0 + 1) }
    }
}
