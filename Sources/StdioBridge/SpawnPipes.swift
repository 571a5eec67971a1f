import CLinux
import Glibc

/// The descriptors of one spawn. `theirs` become the child's and are closed here once it runs; `ours` are closed unless
/// they are taken.
struct SpawnPipes {
    private var theirs: [Int32] = []
    private var ours: [Int32] = []

    /// A pipe that the child reads: the child's end and ours.
    mutating func makeInput() throws(SpawnFailure) -> (child: Int32, parent: Int32) {
        let (read, write) = try make()
        theirs.append(read)
        ours.append(write)
        return (read, write)
    }

    /// A pipe that the child writes: the child's end and ours.
    mutating func makeOutput() throws(SpawnFailure) -> (child: Int32, parent: Int32) {
        let (read, write) = try make()
        theirs.append(write)
        ours.append(read)
        return (write, read)
    }

    mutating func closeTheirs() {
        for descriptor in theirs { close(descriptor) }
        theirs = []
    }

    /// The caller owns `descriptor` from here on.
    mutating func take(_ descriptor: Int32) -> Int32 {
        ours.removeAll { $0 == descriptor }
        return descriptor
    }

    mutating func closeAll() {
        closeTheirs()
        for descriptor in ours { close(descriptor) }
        ours = []
    }

    private func make() throws(SpawnFailure) -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        let result = clinux_pipe_cloexec(&ends)
        guard result == 0 else { throw SpawnFailure(errno: -result, step: "pipe") }
        return (ends[0], ends[1])
    }
}
