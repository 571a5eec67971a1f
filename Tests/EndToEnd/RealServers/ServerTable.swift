import Foundation
import TestSupport

/// What a run measured, a line of a Markdown table for each server, in the file of `BERTH_SERVER_TABLE`.
enum ServerTable {
    struct Row {
        let server: RealServer
        let seconds: Double
        let bytes: Int
        let processes: Int
        let megabytes: Int

        /// - Parameter tree: the processes of one session.
        init(_ server: RealServer, seconds: Double, bytes: Int, tree: Set<pid_t>) {
            self.server = server
            self.seconds = seconds
            self.bytes = bytes
            processes = tree.count
            megabytes = ProcessTree.megabytes(tree)
        }

        var line: String {
            let start = String(format: "%.1f", seconds)
            let words = [server.package, server.version, server.language, server.era, start]
            return "| " + (words + [server.tools, bytes, processes, megabytes].map(String.init)).joined(separator: " | ") + " |\n"
        }
    }

    static func add(_ row: Row) throws {
        guard let path = ProcessInfo.processInfo.environment["BERTH_SERVER_TABLE"] else { return }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data(row.line.utf8))
    }
}
