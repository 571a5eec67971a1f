import NIOCore

extension ByteBuffer {
    /// Appends what a socket brought. An empty buffer becomes the new bytes without a copy, and bytes that were read
    /// already do not stay in memory for as long as the stream lives.
    mutating func enqueue(_ bytes: ByteBuffer) {
        if readableBytes == 0 {
            self = bytes
        } else if readerIndex > readableBytes {
            var fresh = ByteBuffer()
            fresh.reserveCapacity(readableBytes + bytes.readableBytes)
            fresh.writeImmutableBuffer(self)
            fresh.writeImmutableBuffer(bytes)
            self = fresh
        } else {
            writeImmutableBuffer(bytes)
        }
    }
}
