/// Tells when files below a directory have changed and come to rest.
struct FileWatch: Sendable {
    enum Event: Sendable, Equatable {
        /// A path that changed, from the directory.
        case changed(String)
        /// There are more files than are looked at.
        case tooMany

        var text: String {
            switch self {
            case .changed(let path): "\(path) changed: the next call has a new process"
            case .tooMany: "more than \(TreeScan.limit) files: changes of the others are not seen"
            }
        }
    }

    private var last: TreeScan
    private var pending: String?

    init(_ first: TreeScan) {
        last = first
    }

    /// Takes the next look. A change is told at the first look that finds nothing more: editors and builds write in several steps.
    mutating func looked(_ scan: TreeScan) -> Event? {
        let changed = scan.difference(from: last)
        last = scan
        guard changed == nil else {
            pending = pending ?? changed
            return nil
        }
        defer { pending = nil }
        return pending.map { .changed($0) }
    }

    /// Looks twice a second until the task is cancelled. On no event loop.
    ///
    /// - Parameter first: what it looked like when it began.
    static func run(directory: String, first: TreeScan, told: @Sendable (Event) -> Void) async {
        if first.isCut { told(.tooMany) }
        var watch = FileWatch(first)
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: .milliseconds(500))
            } catch {
                return
            }
            if let event = watch.looked(TreeScan.scan(directory)) { told(event) }
        }
    }
}
