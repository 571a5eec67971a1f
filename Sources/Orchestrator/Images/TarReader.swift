/// Reads the headers of a tar archive (ustar, and the long names of GNU and pax), strictly.
///
/// Pure: it is given header blocks and bodies of name records, and says what each means.
struct TarReader {
    static let block = 512
    /// A path that no machine could open is no path.
    static let longestName = 4096

    enum Kind: Equatable {
        case directory
        case file(isExecutable: Bool)
        case link(target: String)
        /// Another name of a file that came earlier in the archive.
        case sameFile(as: String)
    }

    struct Entry: Equatable {
        /// Parts below the root; empty for the root itself.
        var path: [String]
        var kind: Kind
        /// Bytes that follow, without the padding.
        var size: Int
    }

    enum Step: Equatable {
        case entry(Entry)
        /// The next `size` bytes belong to ``record(_:)``.
        case record(size: Int)
        /// The next `size` bytes say nothing.
        case skip(size: Int)
        case end
    }

    struct Refusal: Error, Equatable {
        var reason: String
    }

    private enum Record { case gnuName, gnuLink, pax }

    /// Which links an archive may hold.
    var links = TreeCopy.Links.inside

    private var record: Record?
    private var name: [UInt8]?
    private var link: [UInt8]?
    private var size: Int?

    /// The padding after `size` bytes.
    static func padding(_ size: Int) -> Int { (block - size % block) % block }

    /// Takes a header block.
    mutating func header(_ bytes: [UInt8]) throws(Refusal) -> Step {
        guard bytes.count == Self.block, record == nil else { throw Refusal(reason: "it is cut off") }
        if bytes.allSatisfy({ $0 == 0 }) { return .end }
        var sum = 0
        for (index, byte) in bytes.enumerated() { sum += (148..<156).contains(index) ? 32 : Int(byte) }
        guard try Self.number(bytes[148..<156]) == sum else {
            throw Refusal(reason: "a header's check sum is wrong; it is no tar archive, or compressed")
        }
        let size = try Self.number(bytes[124..<136])
        let type = bytes[156]
        switch type {
        case UInt8(ascii: "L"), UInt8(ascii: "K"), UInt8(ascii: "x"):
            guard size <= 64 << 10 else { throw Refusal(reason: "a name in it is too long") }
            record = type == UInt8(ascii: "x") ? .pax : type == UInt8(ascii: "L") ? .gnuName : .gnuLink
            return .record(size: size)
        case UInt8(ascii: "g"):
            return .skip(size: size)
        default:
            return .entry(try entry(bytes, type: type, size: size))
        }
    }

    /// Takes the body of a name record.
    mutating func record(_ bytes: [UInt8]) throws(Refusal) {
        guard let record else { throw Refusal(reason: "it is cut off") }
        self.record = nil
        switch record {
        case .gnuName: name = Array(bytes.prefix { $0 != 0 })
        case .gnuLink: link = Array(bytes.prefix { $0 != 0 })
        case .pax: try pax(bytes)
        }
    }

    private mutating func entry(_ bytes: [UInt8], type: UInt8, size headerSize: Int) throws(Refusal) -> Entry {
        defer { (name, link, size) = (nil, nil, nil) }
        let size = size ?? headerSize
        var raw = name ?? Array(bytes[0..<100].prefix { $0 != 0 })
        // POSIX archives (not GNU's) put the front of a long name elsewhere.
        if name == nil, bytes[257..<263].elementsEqual("ustar\0".utf8) {
            let prefix = bytes[345..<500].prefix { $0 != 0 }
            if !prefix.isEmpty { raw = prefix + [UInt8(ascii: "/")] + raw }
        }
        let path = try Self.path(raw)
        let target = link ?? Array(bytes[157..<257].prefix { $0 != 0 })
        switch type {
        case UInt8(ascii: "0"), 0, UInt8(ascii: "7"):
            if type == 0, raw.last == UInt8(ascii: "/") { return Entry(path: path, kind: .directory, size: 0) }
            guard !path.isEmpty else { throw Refusal(reason: "a file in it has no name") }
            let mode = try Self.number(bytes[100..<108])
            return Entry(path: path, kind: .file(isExecutable: mode & 0o111 != 0), size: size)
        case UInt8(ascii: "5"):
            return Entry(path: path, kind: .directory, size: size)
        case UInt8(ascii: "2"):
            guard let text = String(validating: target, as: UTF8.self), links == .any || TreeCopy.staysInside(text, depth: path.count - 1) else {
                throw Refusal(reason: "\(path.joined(separator: "/")) is a link that leaves the folder")
            }
            return Entry(path: path, kind: .link(target: text), size: size)
        case UInt8(ascii: "1"):
            return Entry(path: path, kind: .sameFile(as: try Self.path(target).joined(separator: "/")), size: size)
        default:
            throw Refusal(reason: "\(path.joined(separator: "/")) is neither a file, a directory nor a link")
        }
    }

    private mutating func pax(_ bytes: [UInt8]) throws(Refusal) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let space = rest.firstIndex(of: UInt8(ascii: " ")), space - rest.startIndex <= 8,
                let length = Int(String(decoding: rest[..<space], as: UTF8.self)), length > space - rest.startIndex + 2, length <= rest.count
            else { throw Refusal(reason: "a pax record in it is malformed") }
            let line = rest[(space + 1)..<(rest.startIndex + length - 1)]
            guard rest[rest.startIndex + length - 1] == UInt8(ascii: "\n"), let equals = line.firstIndex(of: UInt8(ascii: "=")) else {
                throw Refusal(reason: "a pax record in it is malformed")
            }
            let value = Array(line[(equals + 1)...])
            switch String(decoding: line[..<equals], as: UTF8.self) {
            case "path": name = value
            case "linkpath": link = value
            case "size":
                guard let number = Int(String(decoding: value, as: UTF8.self)), (0...1 << 40).contains(number) else {
                    throw Refusal(reason: "a size in it is malformed")
                }
                size = number
            case let key where key.hasPrefix("GNU.sparse"): throw Refusal(reason: "it holds a sparse file")
            default: break
            }
            rest = rest[(rest.startIndex + length)...]
        }
    }

    /// A name's parts: relative, without `..`, in UTF-8.
    static func path(_ raw: [UInt8]) throws(Refusal) -> [String] {
        guard raw.count <= longestName, !raw.contains(0), let text = String(validating: raw, as: UTF8.self) else {
            throw Refusal(reason: "a name in it is not UTF-8 or too long")
        }
        guard !text.hasPrefix("/") else { throw Refusal(reason: "\(text.prefix(100)) is an absolute path") }
        let parts = text.split(separator: "/").filter { $0 != "." }.map(String.init)
        guard !parts.contains("..") else { throw Refusal(reason: "\(text.prefix(100)) leads out of the folder") }
        guard !parts.contains(where: { $0.hasPrefix(".wh.") || $0.utf8.count > 255 }) else {
            throw Refusal(reason: "\(text.prefix(100)) is a name that an image cannot hold")
        }
        return parts
    }

    /// An octal number as tar writes it: digits, then blanks or zero bytes.
    private static func number(_ field: ArraySlice<UInt8>) throws(Refusal) -> Int {
        var value = 0
        var seen = false
        for byte in field {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                value = value << 3 | Int(byte - UInt8(ascii: "0"))
                seen = true
            case UInt8(ascii: " ") where !seen: continue
            case UInt8(ascii: " "), 0: return value
            default: throw Refusal(reason: "a number in it is malformed; it is no tar archive, or compressed")
            }
        }
        return value
    }
}
