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
        private let text = Mutex("")
        private let isOver = Mutex(false)
        private let task: Mutex<Task<Void, Never>?> = Mutex(nil)

        init(_ stream: AsyncStream<LogPiece>) {
            task.withLock {
                $0 = Task { [self] in
                    for await piece in stream { self.text.withLock { $0 += String(decoding: piece, as: UTF8.self) } }
                    self.isOver.withLock { $0 = true }
                }
            }
        }

        var lines: [String] { text.withLock { $0.split(separator: "\n").map(String.init) } }
        var hasEnded: Bool { isOver.withLock { $0 } }
        func leave() { task.withLock { $0?.cancel() } }
    }

    @Test("the last lines and all that follow, through rotation and another boot; it ends with the machine's log")
    func follow() async throws {
        try await withOCIHost { host in
            // A line a number; with its end some 60 bytes: 3 MB, which is three times a file.
            let script = "i=0; while [ $i -lt 50000 ]; do echo \"line $i 0123456789012345678901234567890123456789\"; i=$((i+1)); "
                + "[ $((i % 1000)) = 0 ] && b sleep 0.4; done; exec /bin/busybox sleep 600"
            let first = host.spec("echo before; echo here; exec /bin/busybox sleep 600")
            _ = try await host.runtime.create(first)
            try await host.runtime.start(first.machine, boot: first.boot)
            _ = try await eventually("its lines") { host.runtime.log.tail(first.machine, lines: 5) == "before\nhere\n" ? true : nil }
            let reader = Reader(try #require(host.runtime.log.follow(first.machine, lines: 1)))
            let fromNow = Reader(try #require(host.runtime.log.follow(first.machine, lines: 0)))
            _ = try await eventually("the beginning") { reader.lines == ["here"] ? true : nil }
            try await host.runtime.remove(first.machine, boot: first.boot)
            let second = host.spec(script, machine: first.machine)
            _ = try await host.runtime.create(second)
            try await host.runtime.start(second.machine, boot: second.boot)
            _ = try await eventually("the last line") { reader.lines.last?.hasPrefix("line 49999 ") == true ? true : nil }
            #expect(Files.status("\(host.configuration.logs)/\(first.machine).log.1") != nil, "it was rotated")
            let numbers = reader.lines.dropFirst().compactMap { $0.hasPrefix("line ") ? Int($0.split(separator: " ")[1]) : nil }
            #expect(reader.lines.first == "here" && numbers == Array(0..<50_000))
            _ = try await eventually("the other reader") { fromNow.lines.last == reader.lines.last ? true : nil }
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
            let streams = (0..<LogPipes.readers).map { _ in host.runtime.log.follow("0123456789abcd", lines: 0) }
            #expect(streams.allSatisfy { $0 != nil } && host.runtime.log.follow("0123456789abcd", lines: 0) == nil)
            let spec = host.spec("while read n; do :; done; b yes 0123456789012345678901234567890123456789 | b head -c 8000000; echo end; exec /bin/busybox sleep 600")
            _ = try await host.runtime.create(spec)
            try await host.runtime.start(spec.machine, boot: spec.boot)
            _ = try await eventually("its end") { host.runtime.log.tail(spec.machine, lines: 1) == "end\n" ? true : nil }
            // Nobody has read any of them yet.
            let slow = Reader(try #require(streams[0]))
            _ = try await eventually("what had waited") { slow.lines.count > 100 ? true : nil }
            try await host.runtime.remove(spec.machine, boot: spec.boot)
            let more = host.spec("echo more; exec /bin/busybox sleep 600", machine: spec.machine)
            _ = try await host.runtime.create(more)
            try await host.runtime.start(more.machine, boot: more.boot)
            _ = try await eventually("the notice") { slow.lines.contains { $0.contains("bytes skipped, they were not read in time") } ? true : nil }
            #expect(slow.lines.last == "more")
            slow.leave()
            let next = try await eventually("a place") { host.runtime.log.follow("0123456789abcd", lines: 0) }
            _ = (next, streams)
        }
    }
}
