import Glibc
import GRDB

extension OrchestratorService {
    /// What the host holds of this installation's machines that no row owns. Reads only; runs beside a living
    /// orchestrator, or without one.
    public static func leftovers(_ configuration: OrchestratorConfiguration) async throws -> [Leftover] {
        var owned = Set<String>()
        if access(configuration.database, F_OK) == 0 {
            var options = Configuration()
            options.readonly = true
            let queue = try DatabaseQueue(path: configuration.database, configuration: options)
            let boots = try await queue.read { database in
                try Row.fetchAll(database, sql: "SELECT machine, boot FROM boots").map { row in "\(row["machine"] as String)-\(row["boot"] as String)" }
            }
            owned = Set(boots)
            try queue.close()
        }
        return Leftovers.scan(configuration: configuration.oci, owned: owned).items
    }
}
