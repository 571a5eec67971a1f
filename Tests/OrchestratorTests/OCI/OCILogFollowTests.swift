import Foundation
import Glibc
import Synchronization
import Testing

@testable import Orchestrator

/// Reading a machine's log as it is written: in order, without a gap, through rotation and boots, and never waited for.
@Suite(.enabled(if: OCITestHost.isUsable, "needs root, crun and busybox-static"))
struct OCILogFollowTests {
    /// Everything that one reader was given, until it left or the stream ended.
    private final class Reader: Sendable {
        private let bytes = Mutex([UInt8]())
        private let isOver = Mutex(false)
        private let task: Mutex<Task<Void, Never>?> = Mutex(nil)

        init(_ stream: AsyncStream<LogPiece>) {
            task.withLock {
                $0 = Task { [self] in
                    for await piece in stream { self.bytes.withLock { $0 += piece } }
                    self.isOver.withLock { $0 = true }
                }
            }
        }

        var lines: [String] { String(decoding: bytes.withLock { $0 }, as: UTF8.self).split(separator: "\n").map(String.init) }
        var byteCount: Int { bytes.withLock { $0.count } }
        /// Cheap, also of much.
        var lastLine: String? { String(decoding: bytes.withLock { $0.suffix(200) }, as: UTF8.self).split(separator: "\n").last.map(String.init) }
        var hasEnded: Bool { isOver.withLock { $0 } }
        func leave() { task.withLock { $0?.cancel() } }
    }

    @Test("the last lines and all that follow, through rotation and another boot; it ends with the machine's log")
    func follow() async throws {
        try await withOCIHost { host in
            // A file that is full but for a few lines, and a line a number that fill another part of the next.
            try Files.write(
                "\(host.configuration.logs)/0123456789abcd.log", Array(String(repeating: String(repeating: "x", count: 999) + "\n", count: 1_045).utf8))
            let script = "i=0; while [ $i -lt 2000 ]; do echo \"line $i 0123456789012345678901234567890123456789\"; i=$((i+1)); done; "
                + "exec /bin/busybox sleep 600"
            let first = host.spec("echo before; echo here; exec /bin/busybox sleep 600")
            _ = try await host.runtime.create(first)
            try await host.runtime.start(first.machine, boot: first.boot)
            _ = try await eventually("its lines") { host.runtime.log.tail(first.machine, lines: 2) == "before\nhere\n" ? true : nil }
            let reader = Reader(try #require(host.runtime.log.follow(first.machine, lines: 1)))
            let fromNow = Reader(try #require(host.runtime.log.follow(first.machine, lines: 0)))
            _ = try await eventually("the beginning") { reader.lines == ["here"] ? true : nil }
            try await host.runtime.remove(first.machine, boot: first.boot)
            let second = host.spec(script, machine: first.machine)
            _ = try await host.runtime.create(second)
            try await host.runtime.start(second.machine, boot: second.boot)
            _ = try await eventually("the last line") { reader.lastLine?.hasPrefix("line 1999 ") == true ? true : nil }
            #expect(Files.status("\(host.configuration.logs)/\(first.machine).log.1") != nil, "it was rotated")
            let numbers = reader.lines.dropFirst().compactMap { $0.hasPrefix("line ") ? Int($0.split(separator: " ")[1]) : nil }
            #expect(reader.lines.first == "here" && numbers == Array(0..<2_000))
            _ = try await eventually("the other reader") { fromNow.lastLine == reader.lastLine ? true : nil }
            #expect(fromNow.lines == Array(reader.lines.dropFirst()))
            try await host.runtime.remove(second.machine, boot: second.boot)
            #expect(!reader.hasEnded)
            host.runtime.log.discard(first.machine)
            _ = try await eventually("the end") { reader.hasEnded && fromNow.hasEnded ? true : nil }
        }
    }

    @Test("who reads too slowly is told how much was skipped, and holds up nobody; readers are bounded, and those that left do not count")
    func bounds() async throws {
        try await withOCIHost { host in
            var streams = (0..<LogPipes.readers).map { _ in host.runtime.log.follow("0123456789abcd", lines: 0) }
            #expect(streams.allSatisfy { $0 != nil } && host.runtime.log.follow("0123456789abcd", lines: 0) == nil)
            // The log takes a MiB at once, and after a pause some more: together more than may wait for a reader.
            let flood = "b yes 0123456789012345678901234567890123456789 | b head -n"
            let spec = host.spec("\(flood) 73000; b sleep 4; \(flood) 7300; b sleep 3; echo end; exec /bin/busybox sleep 600")
            _ = try await host.runtime.create(spec)
            try await host.runtime.start(spec.machine, boot: spec.boot)
            _ = try await eventually("its end") { host.runtime.log.tail(spec.machine, lines: 1) == "end\n" ? true : nil }
            // Nobody has read any of them yet.
            let slow = Reader(try #require(streams[0]))
            _ = try await eventually("what had waited") { slow.byteCount > LogFollower.limit / 2 ? true : nil }
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            let more = host.spec("echo more; exec /bin/busybox sleep 600", machine: spec.machine)
            _ = try await host.runtime.create(more)
            try await host.runtime.start(more.machine, boot: more.boot)
            _ = try await eventually("the next line") { slow.lastLine == "more" ? true : nil }
            #expect(slow.lines.contains { $0.contains("bytes skipped, they were not read in time") })
            slow.leave()
            // Read or not: who has let go of it has left.
            streams[0] = nil
            _ = try await eventually("a place") { host.runtime.log.follow("0123456789abcd", lines: 0) }
            streams.removeAll()
        }
    }
}
