import CLinux
import Glibc

/// Wakes a thread that waits in `poll`.
final class WakePipe: Sendable {
    let reader: Int32
    private let writer: Int32

    init() throws(OCIError) {
        var ends: [Int32] = [-1, -1]
        let result = clinux_pipe_cloexec(&ends)
        guard result == 0 else { throw .system("pipe2", "", -result) }
        reader = ends[0]
        writer = ends[1]
        _ = clinux_set_nonblocking(reader, 1)
        _ = clinux_set_nonblocking(writer, 1)
    }

    deinit {
        close(reader)
        close(writer)
    }

    /// A full pipe wakes as well as one more byte would.
    func wake() {
        var byte: UInt8 = 1
        _ = write(writer, &byte, 1)
    }

    func drain() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(reader, &bytes, bytes.count) > 0 {}
    }
}
