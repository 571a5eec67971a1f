import Glibc

/// Work on whole trees whoever wrote them: nothing is followed, and no mount is entered.
public enum HostFiles {
    /// Removes a file or a tree; what is not there is no error.
    public static func remove(_ path: String) throws { try Files.removeTree(path) }

    /// Mount points in a directory, as this process sees them; the directory itself may be one.
    public static func mounts(below path: String) -> [String] {
        let text = Files.read("/proc/self/mountinfo", limit: 8 << 20) ?? ""
        return MountTable.parse(text).map { unescaped($0.point) }.filter { $0.hasPrefix(path + "/") }.sorted()
    }

    /// The kernel writes blanks and backslashes of a path as three octal digits.
    private static func unescaped(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var (plain, index): ([UInt8], Int) = ([], 0)
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count,
                let value = UInt8(String(decoding: bytes[index + 1...index + 3], as: UTF8.self), radix: 8)
            {
                plain.append(value)
                index += 4
            } else {
                plain.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }

    /// What a file or a tree takes on its disk, in bytes.
    public static func bytes(_ path: String) -> Int {
        guard let status = Files.status(path) else { return 0 }
        return Int(status.st_blocks) * 512 + (Files.isDirectory(path) ? Files.diskUse(path) : 0)
    }
}
