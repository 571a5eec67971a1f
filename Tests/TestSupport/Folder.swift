import Foundation

/// Runs `body` with a folder of its own, which is gone afterwards.
///
/// - Parameter files: written into it first, readable by their owner alone.
public func withFolder<T>(_ files: [String: String] = [:], _ body: (String) async throws -> T) async throws -> T {
    let folder = NSTemporaryDirectory() + "berth-test-\(UUID().uuidString.prefix(8).lowercased())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (name, text) in files { try writeFile(text, to: folder + "/" + name) }
    return try await body(folder)
}

/// Writes a file that its owner alone reads, and makes the folders on the way to it.
public func writeFile(_ text: String, to path: String) throws {
    try FileManager.default.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    chmod(path, 0o600)
}
