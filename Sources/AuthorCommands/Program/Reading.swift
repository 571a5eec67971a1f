import Glibc

/// The bytes of a regular file; nil with errno set when it cannot be read.
package func readFile(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
        errno = info.st_mode & S_IFMT == S_IFDIR ? EISDIR : ENODEV
        return nil
    }
    var result: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { return nil }
        if count == 0 { return result }
        result.append(contentsOf: chunk.prefix(count))
    }
}

/// `readlink` into a buffer of bytes.
package func readLink(_ path: String, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard let base = buffer.baseAddress else { return -1 }
    return readlink(path, base.assumingMemoryBound(to: CChar.self), buffer.count)
}
