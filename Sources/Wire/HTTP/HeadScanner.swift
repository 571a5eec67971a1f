import Glibc
import NIOCore

/// Finds where a head ends in bytes that arrive in pieces, without looking at a byte twice.
struct HeadScanner: Sendable {
    private var scanned = 0

    /// The length of the head, its empty line included, or `nil` while it is incomplete.
    private mutating func end(in buffer: ByteBuffer, limits: HTTPLimits) throws(HTTPError) -> Int? {
        var position = scanned
        let found: Result<Int?, HTTPError> = buffer.withUnsafeReadableBytes { all in
            guard let base = all.baseAddress else { return .success(nil) }
            while position < all.count, let hit = memchr(base + position, CInt(ASCII.lf), all.count - position) {
                let lineFeed = base.distance(to: UnsafeRawPointer(hit))
                position = lineFeed + 1
                guard lineFeed > 0, all[lineFeed - 1] == ASCII.cr else { return .failure(.bareLF) }
                if lineFeed == 1 { return .failure(.badStartLine) }
                if all[lineFeed - 2] == ASCII.lf { return .success(position) }
            }
            position = all.count
            return .success(nil)
        }
        scanned = position
        let end = try found.get()
        if (end ?? scanned) > limits.headBytes { throw .headTooLarge }
        return end
    }

    /// Takes a whole head off `buffer` and begins anew for the next one; `nil` while it is incomplete.
    mutating func next(in buffer: inout ByteBuffer, limits: HTTPLimits) throws(HTTPError) -> ByteBuffer? {
        guard buffer.readableBytes > 0, let length = try end(in: buffer, limits: limits) else { return nil }
        scanned = 0
        return buffer.readSlice(length: length)
    }
}
