import Glibc

/// Who listens on which TCP port of this network namespace, as `/proc/net/tcp` tells it. A pure value.
struct ListeningSockets {
    struct Socket: Equatable {
        var port: Int
        var uid: uid_t
    }

    private(set) var sockets: [Socket] = []

    /// What the kernel says now; nothing where it says nothing.
    init() {
        for path in ["/proc/net/tcp", "/proc/net/tcp6"] { read(Self.contents(path)) }
    }

    /// - Parameter table: the text of one of the files.
    init(table: String) { read(table) }

    /// `sl local_address rem_address st tx:rx tr:when retrnsmt uid …`, where state 0A is LISTEN.
    private mutating func read(_ table: String) {
        for line in table.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            guard fields.count > 7, fields[3] == "0A", let colon = fields[1].lastIndex(of: ":"),
                let port = Int(fields[1][fields[1].index(after: colon)...], radix: 16), let uid = uid_t(fields[7])
            else { continue }
            let socket = Socket(port: port, uid: uid)
            if !sockets.contains(socket) { sockets.append(socket) }
        }
    }

    /// The ports on which processes of `uid` listen, lowest first.
    func ports(of uid: uid_t) -> [Int] { Set(sockets.filter { $0.uid == uid }.map(\.port)).sorted() }

    /// Whether others than `uid` listen on `port`, and not `uid` itself.
    func isOthers(_ port: Int, than uid: uid_t) -> Bool {
        let listeners = sockets.filter { $0.port == port }
        return !listeners.isEmpty && !listeners.contains { $0.uid == uid }
    }

    private static func contents(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        // A machine's table is small; one that a server has filled is not read to its end on the event loop.
        while all.count < 1 << 20 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            all.append(contentsOf: chunk.prefix(count))
        }
        return String(decoding: all, as: UTF8.self)
    }
}
