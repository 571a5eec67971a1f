import CLinux
import Foundation
import Glibc
import Synchronization

/// Reads what machines write to standard output and error, on one thread, into a rotated file for each.
///
/// The pipe is a named one in the machine's bundle: the next orchestrator opens it again, and the machine, which holds it
/// for reading and writing, never sees a broken pipe between two of them.
public final class LogPipes: Sendable {
    /// Called with each line of a machine, without its end; on the log thread, so it must not wait.
    public typealias Observer = @Sendable (String) -> Void

    private enum Request: Sendable {
        case attach(String, machine: String, descriptor: Int32)
        case detach(String)
        case discard(String)
        case flush(String, @Sendable () -> Void)
        case observe(String, Observer?)
        case follow(machine: String, number: Int, lines: Int, LogFollower)
        case unfollow(machine: String, number: Int)
        case end
    }

    /// Readers that go on reading, of all machines together.
    static let readers = 64

    private let directory: String
    private let reading = Mutex((last: 0, count: 0))
    private let requests = Mutex<[Request]>([])
    private let wakePipe: WakePipe

    init(directory: String) throws(OCIError) {
        self.directory = directory
        wakePipe = try WakePipe()
        let thread = Thread { [self] in run() }
        thread.name = "berth-logs"
        thread.start()
    }

    /// The last lines that a machine wrote, through all its boots, as text with line ends.
    public func tail(_ machine: String, lines: Int) -> String {
        LogFile.tail(path: path(machine), lines: lines)
    }

    /// The last lines of a machine and, in order and without a gap, what it writes from then on, whatever boot it is in: until the
    /// reader leaves, or the machine's log is discarded.
    ///
    /// - Returns: `nil` where too many read already.
    func follow(_ machine: String, lines: Int) -> AsyncStream<LogPiece>? {
        let number = reading.withLock { reading -> Int? in
            guard reading.count < Self.readers else { return nil }
            reading.last += 1
            reading.count += 1
            return reading.last
        }
        guard let number else { return nil }
        let place = LogPlace { [self] in
            reading.withLock { $0.count -= 1 }
            send(.unfollow(machine: machine, number: number))
        }
        send(.follow(machine: machine, number: number, lines: lines, place.follower))
        return AsyncStream { await place.follower.next() }
    }

    /// What is kept of a machine's lines.
    func bytes(_ machine: String) -> Int {
        ["", ".1"].reduce(0) { $0 + Int(Files.status(path(machine) + $1)?.st_size ?? 0) }
    }

    /// Removes what a destroyed machine wrote.
    public func discard(_ machine: String) {
        erase(machine)
        // Again behind what its reader may still have to write, which would make the file anew.
        send(.discard(machine))
    }

    private func erase(_ machine: String) {
        unlink(path(machine))
        unlink(path(machine) + ".1")
    }

    /// Has each further line of one boot told to `observer`; `nil` ends it. Only after `create` or `adopt`.
    public func observe(_ machine: String, boot: String, _ observer: Observer?) {
        send(.observe(BootName(machine: machine, boot: boot).description, observer))
    }

    /// Starts reading the pipe at `fifo`.
    func attach(_ name: BootName, fifo: String) throws(OCIError) {
        let descriptor = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw .system("open", fifo, errno) }
        send(.attach(name.description, machine: name.machine, descriptor: descriptor))
    }

    /// Reads what is left and stops.
    func detach(_ name: BootName) { send(.detach(name.description)) }

    /// Calls back when everything that the machine wrote before is in its file and was told to its observer.
    func flush(_ name: BootName, then: @escaping @Sendable () -> Void) { send(.flush(name.description, then)) }

    func end() { send(.end) }

    private func path(_ machine: String) -> String { "\(directory)/\(machine).log" }

    private func send(_ request: Request) {
        requests.withLock { $0.append(request) }
        wakePipe.wake()
    }

    private func run() {
        var readers: [String: LogReader] = [:]
        let followers = LogFollowers()
        while true {
            for request in requests.withLock({ requests in
                defer { requests = [] }
                return requests
            }) {
                switch request {
                case .attach(let name, let machine, let descriptor):
                    readers[name]?.finish()
                    readers[name] = LogReader(descriptor: descriptor, file: LogFile(path: path(machine))) { followers.append($0, to: machine) }
                case .detach(let name):
                    readers.removeValue(forKey: name)?.finish()
                case .discard(let machine):
                    erase(machine)
                    followers.end(machine)
                case .flush(let name, let then):
                    readers[name]?.flush()
                    then()
                case .observe(let name, let observer):
                    readers[name]?.observer = observer
                case .follow(let machine, let number, let lines, let follower):
                    // Here, where nobody writes meanwhile. Of more than may wait the end.
                    follower.append(Array(tail(machine, lines: lines).utf8.suffix(LogFollower.limit)))
                    followers.add(machine, number: number, follower)
                case .unfollow(let machine, let number):
                    followers.remove(machine, number: number)
                case .end:
                    followers.endAll()
                    for reader in readers.values { reader.finish() }
                    return
                }
            }
            let names = Array(readers.keys)
            var polled = [pollfd(fd: wakePipe.reader, events: Int16(POLLIN), revents: 0)]
            polled += names.map { pollfd(fd: readers[$0]?.descriptor ?? -1, events: Int16(POLLIN), revents: 0) }
            if poll(&polled, nfds_t(polled.count), -1) < 0 && errno != EINTR { usleep(10_000) }
            if polled[0].revents != 0 {
                // First what was asked for: an observer that came before the first line shall see that line.
                wakePipe.drain()
                continue
            }
            for (index, name) in names.enumerated() where polled[index + 1].revents != 0 { readers[name]?.read(upTo: 4) }
        }
    }
}

/// One machine's pipe, file and budget. Lives on the log thread.
private final class LogReader {
    let descriptor: Int32
    var observer: LogPipes.Observer?
    private var file: LogFile
    private var lines = LogLines()
    private var budget = LogBudget(now: .now)
    private var chunk = [UInt8](repeating: 0, count: 64 << 10)
    private let written: (LogPiece) -> Void

    init(descriptor: Int32, file: LogFile, written: @escaping (LogPiece) -> Void) {
        self.descriptor = descriptor
        self.file = file
        self.written = written
    }

    /// Reads what is there, at most `chunks` times: a flood of one machine must not starve the others.
    func read(upTo chunks: Int) {
        var left = chunks
        while left > 0 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            var kept: [UInt8] = []
            lines.append(chunk[0..<count]) { keep($0, &kept) }
            write(kept)
            left -= 1
        }
    }

    private func write(_ kept: [UInt8]) {
        file.append(kept)
        written(kept)
    }

    private func keep(_ line: [UInt8], _ kept: inout [UInt8]) {
        switch budget.admit(line.count + 1, now: .now) {
        case .drop: return
        case .keepAfterNotice(let dropped): kept += Array("berth: \(dropped) bytes of output dropped, the machine writes too fast\n".utf8)
        case .keep: break
        }
        kept += line
        kept.append(UInt8(ascii: "\n"))
        observer?(String(decoding: line, as: UTF8.self))
    }

    /// Reads what the pipe holds, and takes an unfinished last line for a whole one.
    func flush() {
        // Bounded: a machine that lives could keep the pipe full for ever.
        read(upTo: 64)
        var kept: [UInt8] = []
        lines.finish { keep($0, &kept) }
        write(kept)
    }

    func finish() {
        flush()
        file.close()
        close(descriptor)
    }
}
