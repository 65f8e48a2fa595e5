export { JsonTree } from "../lib/json-tree/JsonTree";
